"""BoltzmannMachine against brute force: graphs small enough to count every state.

What every layer keeps: tests/contracts. Bars of five standard deviations are taken from
the counted probabilities.
"""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts.layers import RBM, BoltzmannMachine
from keras_dlparts.layers.energy import pairwise


def states(n):
    return np.array([*itertools.product([0.0, 1.0], repeat=n)])


def count(W, b):
    """log p(x) of every state, from E alone; and log Z."""
    x = states(len(b))
    energy = -x @ b - np.einsum("si,ij,sj->s", x, W, x) / 2
    log_z = np.logaddexp.reduce(-energy)
    return -energy - log_z, log_z


def random_mask(n, density, seed):
    upper = np.triu(np.random.default_rng(seed).random((n, n)) < density, 1)
    return (upper | upper.T).astype(int)


def machine(visible=4, units=3, connections="full", seed=0, scale=1.0, **options):
    """(model, layer, W, b) with random weights."""
    layer = BoltzmannMachine(units, connections, seed=seed, **options)
    model = keras.Sequential([keras.Input((visible,)), layer])
    n, random = visible + units, np.random.default_rng(seed)
    kernel, b = scale * random.normal(size=(n, n)), random.normal(size=n)
    layer.kernel.assign(kernel)
    layer.bias.assign(b)
    upper = np.triu(kernel, 1)
    if not isinstance(connections, str):
        upper *= np.asarray(connections)
    elif connections == "visible-hidden":
        upper[:visible, :visible] = upper[visible:, visible:] = 0
    return model, layer, upper + upper.T, b


def numpy(x):
    return ops.convert_to_numpy(ops.stop_gradient(x))


GRAPHS = {
    "full": "full",
    "visible-hidden": "visible-hidden",
    "sparse": random_mask(7, 0.4, 1),
    "dense": random_mask(7, 0.8, 2),
    "ring": np.roll(np.eye(7), 1, 1) + np.roll(np.eye(7), -1, 1),
}


@pytest.mark.parametrize("graph", GRAPHS)
def test_energy_log_z_and_likelihood_are_those_of_the_counted_graph(graph):
    _, layer, W, b = machine(connections=GRAPHS[graph])
    log_p, log_z = count(W, b)
    x = states(7)
    np.testing.assert_allclose(
        numpy(layer.energy(x)), -log_p - log_z, rtol=1e-5, atol=1e-5
    )
    assert layer.log_partition() == (pytest.approx(log_z, rel=1e-6), 0)
    v = states(4)
    log_p_v = np.logaddexp.reduce(log_p.reshape(16, 8), axis=1)
    np.testing.assert_allclose(numpy(layer.log_likelihood(v)), log_p_v, atol=1e-5)
    bound = numpy(layer.bound(v)) - log_z
    assert (bound <= log_p_v + 1e-5).all()
    if graph == "visible-hidden":  # independent given v: the bound is exact
        np.testing.assert_allclose(bound, log_p_v, atol=1e-4)
    else:
        assert (bound > log_p_v - 1).all()


def test_the_blocks_are_without_connections_and_two_where_two_will_do():
    for name, graph in GRAPHS.items():
        mask = np.asarray(machine(connections=graph)[2] != 0)
        blocks = pairwise.colored(mask)
        assert sorted(i for block in blocks for i in block) == [*range(7)]
        assert not any(mask[np.ix_(block, block)].any() for block in blocks)
        if name == "visible-hidden":
            assert blocks == [[0, 1, 2, 3], [4, 5, 6]]
    deep = np.zeros((9, 9), int)  # layers of 4, 3 and 2 units
    deep[:4, 4:7] = deep[4:7, 7:] = 1
    assert pairwise.colored(deep + deep.T) == [[0, 1, 2, 3, 7, 8], [4, 5, 6]]


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_sweep_leaves_the_distribution_of_the_graph_as_it_is(graph):
    """Drawn from p, and swept, the states are still drawn from p."""
    _, layer, W, b = machine(connections=GRAPHS[graph])
    p, rows = np.exp(count(W, b)[0]), 40_000
    drawn = np.random.default_rng(1).choice(128, rows, p=p)
    x = ops.convert_to_tensor(states(7)[drawn][:, layer._order].astype("float32"))
    free = np.ones(7, bool)
    seed = layer.seed_generator.next()
    after = pairwise.gibbs(x, *layer._machine(), free, seed, 2, sizes=layer._sizes)
    after = numpy(after)[:, layer._place]
    assert (after != numpy(x)[:, layer._place]).any(axis=1).mean() > 0.5
    found = np.bincount((after @ 2 ** np.arange(7)[::-1]).astype(int), minlength=128)
    assert (np.abs(found / rows - p) < 5 * np.sqrt(p / rows) + 1e-9).all()


def test_many_blocks_are_swept_unit_by_unit_with_the_same_means(monkeypatch):
    _, layer, _, _ = machine(connections=GRAPHS["dense"])
    x = ops.convert_to_tensor(np.random.default_rng(0).random((5, 7)).astype("float32"))
    for free in (
        layer._hidden,
        ops.convert_to_tensor(np.arange(35).reshape(5, 7) % 2 > 0),
    ):
        means = []
        for unrolled in (16, 0):
            monkeypatch.setattr(pairwise, "_UNROLLED", unrolled)
            found = pairwise.mean_field(
                x, *layer._machine(), free, 2, sizes=layer._sizes
            )
            means.append(numpy(found))
        np.testing.assert_allclose(*means, rtol=1e-5)
        assert (means[0] != numpy(x)).any()


@pytest.mark.long
@pytest.mark.parametrize("temperatures", [1, 4])
@pytest.mark.parametrize("clamped", [False, True])
def test_samples_are_drawn_from_the_graph_clamped_or_not(temperatures, clamped):
    _, layer, W, b = machine(connections=GRAPHS["dense"])
    p = np.exp(count(W, b)[0]).reshape(16, 8).sum(axis=1)
    clamp = None
    if clamped:
        clamp = np.array([1, np.nan, np.nan, 0])
        p = p * (states(4)[:, 0] == 1) * (states(4)[:, 3] == 0)
        p /= p.sum()
    n = 10_000
    v = numpy(layer.sample(n, 30, clamp=clamp, temperatures=temperatures))
    found = np.bincount((v @ [8, 4, 2, 1]).astype(int), minlength=16) / n
    assert (np.abs(found - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-9).all()


@pytest.mark.long
def test_tempering_finds_both_modes_where_a_single_temperature_stays_in_one():
    # All units alike: 8 of them, of which E = -w k (k - 8) / 2 for k that are on.
    layer = BoltzmannMachine(0, seed=0)
    layer.build((None, 8))
    layer.kernel.assign(np.full((8, 8), 4.0))
    layer.bias.assign(np.full(8, -14.0))  # all on and all off have the same energy
    start = np.zeros((500, 8))
    stuck = numpy(layer.sample(500, 100, start=start)).mean()
    assert stuck < 0.02
    found = numpy(layer.sample(500, 100, start=start, temperatures=12)).mean()
    assert 0.3 < found < 0.7


def test_the_gradient_is_that_of_the_likelihood_where_no_unit_is_hidden():
    """The loss' gradient, its chains started at equilibrium, against counted means."""
    chains = 20_000
    model, layer, W, b = machine(
        5, 0, connections=random_mask(5, 0.7, 3), chains=chains, scale=0.7
    )
    log_p, _ = count(W, b)
    p, x = np.exp(log_p), states(5)
    drawn = np.random.default_rng(2).choice(32, chains, p=p)
    layer.particles.assign(x[drawn][:, layer._order])
    data = np.random.default_rng(3).integers(0, 2, (64, 5)).astype("float32")
    model.compile(keras.optimizers.SGD(1.0))
    before = [w.copy() for w in layer.get_weights()[:2]]
    model.fit(data, batch_size=64, epochs=1, verbose=0)
    kernel, bias = (
        new - old for new, old in zip(layer.get_weights(), before, strict=False)
    )
    pairs = np.einsum("s,si,sj->ij", p, x, x)
    wanted = np.triu(data.T @ data / 64 - pairs, 1) * (W != 0)
    np.testing.assert_allclose(kernel, wanted, atol=5 * 0.5 / np.sqrt(chains))
    np.testing.assert_allclose(bias, data.mean(0) - p @ x, atol=2.5 / np.sqrt(chains))
    assert np.abs(wanted).max() > 0.1


@pytest.mark.parametrize("inference", ["mean_field", "gibbs"])
def test_the_gradient_of_hidden_units_takes_their_means_given_the_data(inference):
    """Given v, single hidden units are independent of each other: means are exact."""
    chains = 20_000
    model, layer, W, b = machine(
        3, 2, "visible-hidden", chains=chains, inference=inference
    )
    log_p, _ = count(W, b)
    p, x = np.exp(log_p), states(5)
    drawn = np.random.default_rng(2).choice(32, chains, p=p)
    layer.particles.assign(x[drawn][:, layer._order])
    data = np.tile([[1.0, 0.0, 1.0]], (20_000, 1))
    mu = 1 / (1 + np.exp(-(b[3:] + data[0] @ W[:3, 3:])))
    model.compile(keras.optimizers.SGD(1.0))
    before = layer.get_weights()[0].copy()
    model.fit(data, batch_size=20_000, epochs=1, verbose=0)
    change = (layer.get_weights()[0] - before)[:3, 3:]
    pairs = np.einsum("s,si,sj->ij", p, x, x)[:3, 3:]
    np.testing.assert_allclose(change, np.outer(data[0], mu) - pairs, atol=0.03)


@pytest.mark.study
def test_plain_fit_learns_which_states_occur():
    x = np.tile([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], (50, 1))
    layer = BoltzmannMachine(3, k=10, seed=0)
    model = keras.Sequential([keras.Input((6,)), layer])
    model.compile(keras.optimizers.SGD(0.1))
    history = model.fit(
        x, batch_size=100, epochs=120, validation_data=(x,), verbose=0
    ).history
    p = np.exp(numpy(layer.log_likelihood(x[:2])))
    assert (p > 0.2).all()  # of 64 states
    assert history["val_loss"][-1] < 0.5 < history["val_loss"][0]
    half = np.where(np.arange(6) < 3, x[:2], np.nan)
    completed = numpy(layer.sample(2, 50, clamp=half, means=True))
    np.testing.assert_array_equal(completed > 0.5, x[:2])


@pytest.mark.study
@pytest.mark.parametrize("graph", ["full", "sparse"])
def test_annealing_finds_log_z_within_its_bars(graph):
    """The share of errors within one and two deviations, over 30 machines."""
    errors = []
    for seed in range(30):
        connections = random_mask(9, 0.5, seed) if graph == "sparse" else "full"
        _, layer, W, b = machine(9, 0, connections, seed=seed)
        value, deviation = layer.log_partition("ais", steps=150, chains=100)
        errors.append((value - count(W, b)[1]) / max(deviation, 1e-3))
    errors = np.abs(errors)
    # The larger of two estimates counts, so a few more than of a single one miss.
    assert (errors < 1).mean() > 0.4
    assert (errors < 2).mean() > 0.8
    assert (errors < 4).all()


def test_where_annealing_misses_a_mode_it_says_so():
    layer = BoltzmannMachine(0, seed=0)
    layer.build((None, 30))
    layer.kernel.assign(np.full((30, 30), 4.0))
    layer.bias.assign(np.full(30, -50.0))  # all on: 4 * 435 - 1500 = 240 above all off
    with pytest.warns(UserWarning, match="log Z is at least 240"):
        value, deviation = layer.log_partition(
            "ais", steps=2, chains=10, data=np.zeros((5, 30))
        )
    assert value == pytest.approx(240, abs=1e-3)
    assert deviation == np.inf


def test_it_is_the_rbm_where_the_graph_is_that_of_one():
    _, layer, W, b = machine(4, 3, "visible-hidden")
    rbm = RBM(3)
    rbm.build((None, 4))
    for variable, value in zip(
        (rbm.kernel, rbm.visible_bias, rbm.hidden_bias),
        (W[:4, 4:], b[:4], b[4:]),
        strict=True,
    ):
        variable.assign(value)
    v = states(4)
    np.testing.assert_allclose(numpy(layer(v)), numpy(rbm(v)), atol=1e-6)
    np.testing.assert_allclose(
        numpy(layer.free_energy(v)), numpy(rbm.free_energy(v)), rtol=1e-5
    )
    assert layer.log_partition().value == pytest.approx(rbm.log_partition().value)


def test_without_hidden_units_it_gives_the_chance_of_each_unit_given_the_others():
    _, layer, W, b = machine(4, 0)
    v = states(4)
    np.testing.assert_allclose(
        numpy(layer(v)), 1 / (1 + np.exp(-(b + v @ W))), rtol=1e-5
    )


@pytest.mark.parametrize(
    ("connections", "message"),
    [
        ([[0, 1], [0, 0]], "symmetric.*1 from unit 0 to unit 1, 0 back"),
        ([[1, 1], [1, 0]], r"itself. Received: a 1 at the units \[0\]"),
        ([[0, 2], [2, 0]], "0 and 1 only. Received: 0 to 2"),
        ([[0, 1]], r"square matrix.*Received: shape \(1, 2\)"),
        ("half", "`connections` must be one of"),
    ],
)
def test_graphs_that_are_none_are_refused(connections, message):
    with pytest.raises(ValueError, match=message):
        BoltzmannMachine(1, connections)


def test_what_cannot_be_answered_is_refused():
    with pytest.raises(ValueError, match="2 rows for 2 visible and 1 hidden units"):
        BoltzmannMachine(1, [[0, 1], [1, 0]]).build((None, 2))
    layer = BoltzmannMachine(21)
    with pytest.raises(ValueError, match="has no weights yet"):
        layer.sample(1, 1)
    layer.build((None, 4))
    with pytest.raises(
        ValueError, match=r"Received: 24 of 25 units. Use `method='ais'`"
    ):
        layer.log_partition()
    with pytest.raises(ValueError, match=r"at most 16. Received: 21 hidden units"):
        layer.free_energy(np.zeros((1, 4)))
    with pytest.raises(ValueError, match=r"values in \[0, 1\].*Received: -1 to 2"):
        layer(np.array([[-1.0, 2.0, 0.0, 0.0]]))
    with pytest.raises(ValueError, match=r"`v` must have the shape \(rows, 4\)"):
        layer.bound(np.zeros((1, 5)))
    with pytest.raises(ValueError, match="Put a Flatten before it"):
        BoltzmannMachine(1)(np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="`units` must be at least 0"):
        BoltzmannMachine(-1)
