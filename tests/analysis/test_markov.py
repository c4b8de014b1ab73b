"""Markov chains against what is known of them, and Gibbs sampling as one of them."""

import itertools

import numpy as np
import pytest
from keras import ops

from keras_dlparts.analysis import MarkovChain, gibbs_chain
from keras_dlparts.layers import RBM


def random_chain(n, seed=0):
    P = np.random.default_rng(seed).random((n, n)) ** 3
    return MarkovChain(P / P.sum(1, keepdims=True))


def test_the_stationary_distribution_is_the_fixed_point():
    chain = random_chain(7)
    pi = chain.stationary()
    np.testing.assert_allclose(pi @ chain.transitions, pi, atol=1e-15)
    np.testing.assert_allclose(pi.sum(), 1)
    np.testing.assert_allclose(
        np.linalg.matrix_power(chain.transitions, 200)[3], pi, atol=1e-12
    )


def test_it_keeps_its_digits_where_a_state_is_hardly_ever_left():
    # pi = (b, a) / (a + b). In 1 - a, as an eigenvector uses it, a has two digits left.
    a, b = 3e-14, 1e-14
    chain = MarkovChain([[1 - a, a], [b, 1 - b]])
    np.testing.assert_allclose(chain.stationary(), [0.25, 0.75], rtol=1e-9)


def test_counts_become_chances():
    sequences = [[0, 1, 1, 2], np.array([2, 0])]
    chain = MarkovChain.from_sequences(sequences)
    np.testing.assert_allclose(chain.transitions, [[0, 1, 0], [0, 0.5, 0.5], [1, 0, 0]])
    chain = MarkovChain.from_sequences(["aab"], states="abc", prior=0.5)
    # Of a: one to a, one to b; of b and c: nothing but the prior.
    np.testing.assert_allclose(chain.transitions[0], np.array([1.5, 1.5, 0.5]) / 3.5)
    np.testing.assert_allclose(chain.transitions[1:], 1 / 3)
    with pytest.raises(ValueError, match=r"never left .*Received: \['b'\]. Give a"):
        MarkovChain.from_sequences(["aab"])
    with pytest.raises(ValueError, match=r"must name every state.*\['c'\] besides"):
        MarkovChain.from_sequences(["abc"], states="ab")
    with pytest.raises(TypeError, match="Put it in a list"):
        MarkovChain.from_sequences("abc")


def test_the_counted_chain_of_its_own_walks_is_the_chain():
    chain = random_chain(4)
    walks = chain.sample(2000, chains=50, seed=0)
    assert walks.shape == (50, 2001)
    counted = MarkovChain.from_sequences(walks)
    # Five deviations of a chance p after n visits, sqrt(p (1 - p) / n).
    visits = 1e5 * chain.stationary()[:, None]
    P = chain.transitions
    assert (np.abs(counted.transitions - P) < 5 * np.sqrt(P * (1 - P) / visits)).all()
    np.testing.assert_array_equal(walks, chain.sample(2000, chains=50, seed=0))
    assert (chain.sample(1, chains=9, start=2)[:, 0] == 2).all()
    with pytest.raises(ValueError, match=r"one of the states. Received: start='x'"):
        chain.sample(1, start="x")


@pytest.mark.parametrize("distance", [0.25, 0.01, 1e-6])
def test_the_mixing_time_is_the_first_step_within_the_distance(distance):
    chain = MarkovChain(0.97 * np.eye(5) + 0.03 * random_chain(5).transitions)
    t = chain.mixing_time(distance)
    assert t > 20
    assert chain.distance(t) <= distance < chain.distance(t - 1)


def test_a_chain_that_forgets_at_once_mixes_in_one_step_and_of_one_state_in_none():
    assert MarkovChain(np.full((3, 3), 1 / 3)).mixing_time(1e-9) == 1
    assert MarkovChain([[1.0]]).mixing_time() == 0


def test_chains_without_one_end_say_so():
    apart = MarkovChain([[1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]], states="abc")
    assert apart.classes() == [[0], [1]]
    for question in (apart.stationary, apart.mixing_time, apart.period):
        with pytest.raises(
            ValueError, match=r"2 sets of states .*\[\['a'\], \['b'\]\]"
        ):
            question()
    passing = MarkovChain([[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0.5, 0.5]])
    np.testing.assert_allclose(passing.stationary(), [0, 0.5, 0.5])
    turns = MarkovChain([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]])
    assert turns.period() == 4
    np.testing.assert_allclose(turns.stationary(), 0.25)
    with pytest.raises(ValueError, match=r"never forgets.*period 4"):
        turns.mixing_time()
    assert random_chain(3).period() == 1


@pytest.mark.parametrize(
    ("transitions", "message"),
    [
        ([[0.5, 0.5]], r"square matrix.*Received: shape \(1, 2\)"),
        ([[0.5, 0.4], [0, 1]], "must sum to 1.*row 0 with the sum 0.9"),
        ([[1.5, -0.5], [0, 1]], "not negative. Received: -0.5 to 1.5"),
        ([[np.nan, 1], [0, 1]], "must be chances"),
    ],
)
def test_what_is_no_chain_is_refused(transitions, message):
    with pytest.raises(ValueError, match=message):
        MarkovChain(transitions)
    with pytest.raises(ValueError, match="2 different names"):
        MarkovChain(np.eye(2), states=["a", "a"])


def machine(visible, hidden):
    layer = RBM(hidden)
    layer.build((None, visible))
    random = np.random.default_rng(0)
    layer.set_weights(
        [
            2 * random.normal(size=w.shape) if i < 3 else w
            for i, w in enumerate(layer.get_weights())
        ]
    )
    return layer


def test_gibbs_sampling_is_a_chain_whose_fixed_point_is_the_machine():
    layer = machine(5, 3)
    chain = gibbs_chain(layer)
    v = np.array([*itertools.product([0, 1], repeat=5)])
    assert chain.states == [tuple(row) for row in v.tolist()]
    p = np.exp(ops.convert_to_numpy(layer.log_likelihood(v)))
    np.testing.assert_allclose(chain.stationary(), p, rtol=1e-4)
    flow = chain.stationary()[:, None] * chain.transitions
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)  # it looks alike backwards


def test_the_layer_samples_as_its_chain_says():
    layer = machine(4, 3)
    chain = gibbs_chain(layer)
    start = np.tile([1, 0, 1, 0], (20_000, 1))
    v = ops.convert_to_numpy(layer.sample(20_000, 2, start=start))
    found = np.bincount((v @ [8, 4, 2, 1]).astype(int), minlength=16) / 20_000
    p = np.linalg.matrix_power(chain.transitions, 2)[0b1010]
    assert (np.abs(found - p) < 5 * np.sqrt(p * (1 - p) / 20_000) + 1e-9).all()


def test_machines_that_cannot_be_counted_are_refused():
    layer = RBM(3, visible="gaussian")
    layer.build((None, 4))
    with pytest.raises(ValueError, match=r"Bernoulli units.*visible='gaussian'"):
        gibbs_chain(layer)
    layer = RBM(13)
    layer.build((None, 4))
    with pytest.raises(ValueError, match="Received: 4 visible and 13 hidden units"):
        gibbs_chain(layer)
