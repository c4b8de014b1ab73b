"""log Z by annealing on machines where one start misses nearly all of it.

With equal weights w, visible biases b and hidden biases c the sum over states is one
over how many of m hidden units are on: Z = sum_k binomial(m, k) exp(c k) (1 + exp(b + w
k))^n. With w = .5, b = -2 such a machine of 40 and 20 units has two modes: nearly all
units off, with log Z = 5.1, and all on, with about 20 c + 40 softplus(8) = 320 + 20 c.
Chains that begin in one do not reach the other.
"""

import math

import numpy as np
import pytest
from keras import ops

from keras_dlparts.layers import RBM
from keras_dlparts.layers.energy import partition

N, M, W, B = 40, 20, 0.5, -2.0
ON = np.ones((50, N), "float32")


def machine(c, **options):
    layer = RBM(M, seed=0, **options)
    layer.build((None, N))
    layer.kernel.assign(np.full((N, M), W))
    layer.visible_bias.assign(np.full(N, B))
    layer.hidden_bias.assign(np.full(M, c))
    return layer


def log_z(c):
    k = np.arange(M + 1)
    choose = [
        math.lgamma(M + 1) - math.lgamma(i + 1) - math.lgamma(M - i + 1) for i in k
    ]
    return np.logaddexp.reduce(choose + c * k + N * np.logaddexp(0, B + W * k))


def alone(layer, start):
    """The estimate from one start, unchecked."""
    tensors = [ops.cast(a, "float32") for a in (*layer.get_weights()[:3], start)]
    seed, steps = layer.seed_generator.next(), ops.cast(500, "int32")
    log_w, _ = partition.anneal(*tensors, seed, steps, chains=100, visible="bernoulli")
    return partition._estimate(start, M, log_w, "bernoulli").value


@pytest.mark.long
@pytest.mark.parametrize("c", [-12.0, -17.0])
def test_the_sum_over_k_is_the_count_over_all_states(c):
    assert machine(c).log_partition().value == pytest.approx(log_z(c), abs=1e-9)


@pytest.mark.long
def test_the_visible_biases_alone_miss_what_the_data_show():
    """Machine 1: 80 in the data's mode, 5 in the other."""
    layer = machine(-12.0)
    found = layer.log_partition("ais", steps=500, data=ON)
    assert found.value == pytest.approx(log_z(-12.0), abs=4 * found.deviation + 1e-3)
    assert alone(layer, np.full(N, B)) < 6 < 80 < log_z(-12.0)
    # Without data the Gibbs chains begin in both modes, and show this one too.
    found = layer.log_partition("ais", steps=500)
    assert found.value == pytest.approx(log_z(-12.0), abs=4 * found.deviation + 1e-3)


@pytest.mark.long
def test_base_rates_alone_miss_what_the_biases_show():
    """Machine 2: -19 in the data's mode (several k near 20 add up), 5 in the other."""
    layer = machine(-17.0)
    found = layer.log_partition("ais", steps=500, data=ON)
    assert alone(layer, partition.base_rates(ON, "bernoulli")) < -18 < 5 < log_z(-17.0)
    assert found.value == pytest.approx(log_z(-17.0), abs=4 * found.deviation + 1e-3)


def test_an_estimate_that_a_state_beats_is_not_given():
    """Base rates between both modes: the chains begin nearer to the wrong one."""
    data = np.concatenate([ON[:5], np.zeros((45, N))])
    with pytest.warns(UserWarning, match=r"Annealing missed states.*at least 80\."):
        found = machine(-12.0).log_partition("ais", steps=500, data=data)
    assert found.value == pytest.approx(log_z(-12.0), abs=0.1)
    assert found.deviation == math.inf


def test_few_chains_that_carry_all_are_told():
    loose, fine = (partition.LogPartition(10.0, d) for d in (0.6, 0.4))
    with pytest.warns(UserWarning, match="Few chains carry the estimate"):
        assert partition.checked(loose, 9.0) == loose
    assert partition.checked(fine, 9.0) == fine
    assert partition.checked(fine, 11.5) == (11.5, 0.4)  # within four deviations


def test_the_floor_is_the_sum_over_the_states_it_is_given():
    random = np.random.default_rng(0)
    W, b, c = random.normal(size=(2, 30)), random.normal(size=2), random.normal(size=30)
    two = np.array([[0.0, 1.0], [1.0, 1.0]])
    terms = two @ b + np.logaddexp(0, c + two @ W).sum(1)
    found = partition.floor(W, b, c, [[0, 1], [0.1, 0.9], [1, 1], [0, 1]], "bernoulli")
    assert found == pytest.approx(np.logaddexp.reduce(terms))
    every = partition.floor(W, b, c, [*two, [0, 0], [1, 0]], "bernoulli")
    assert every == pytest.approx(partition.exact(W, b, c, *["bernoulli"] * 2).value)
    # With few hidden units the sum over these is more; here they are all on.
    W, b, c = np.full((N, M), W[0, 0]), np.zeros(N), np.full(M, 1.0)
    y = M * W[0, 0]
    assert partition.floor(W, b, c, ON, "bernoulli") == pytest.approx(
        M + N * np.logaddexp(0, y)
    )
    assert partition.floor(W, b, c, ON, "gaussian") == pytest.approx(
        M + N * (np.log(2 * np.pi) + y**2) / 2
    )


def test_gaussian_units_begin_at_the_means_of_the_data():
    layer = RBM(5, visible="gaussian", seed=0)
    layer.build((None, 3))
    layer.kernel.assign(np.random.default_rng(0).normal(size=(3, 5)))
    data = np.random.default_rng(1).normal(2, 1, (100, 3))
    exact = layer.log_partition().value
    found = layer.log_partition("ais", steps=400, data=data)
    assert abs(found.value - exact) < 4 * found.deviation + 1e-3
    start = partition.base_rates(data, "gaussian")
    np.testing.assert_allclose(start, data.mean(0), rtol=1e-6)


def test_data_of_another_shape():
    with pytest.raises(ValueError, match=r"shape \(batch, 40\)"):
        machine(-12.0).log_partition("ais", data=np.zeros((3, 2)))
