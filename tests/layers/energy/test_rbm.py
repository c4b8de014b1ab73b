"""RBM against brute force: nets small enough to count every state.

What every layer keeps: tests/contracts. Bars of five standard deviations are taken from
the counted probabilities, so a test fails by chance less than once in a million.
"""

import itertools
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers import RBM
from keras_dlparts.layers.energy import boltzmann, partition


def states(units):
    return np.array([*itertools.product([0.0, 1.0], repeat=units)])


def count(W, b, c):
    """log p(v, h) of every pair of states, from E alone; and log Z."""
    v, h = states(len(b)), states(len(c))
    energy = -(v @ b)[:, None] - (h @ c)[None] - v @ W @ h.T
    log_z = np.logaddexp.reduce(-energy.ravel())
    return -energy - log_z, log_z


def negative_phase(p, W, c):
    """E[-dF/dW], E[-dF/db], E[-dF/dc] over visible states of the chances p."""
    v = states(len(W))
    h = 1 / (1 + np.exp(-(c + v @ W)))
    return np.einsum("s,si,sj->ij", p, v, h), p @ v, p @ h


def one_step(W, b, c):
    """The chance to go from each visible state to each other in one Gibbs step."""
    log_p, _ = count(W, b, c)
    p = np.exp(log_p)
    to_h = p / p.sum(1, keepdims=True)
    to_v = p / p.sum(0, keepdims=True)
    return to_h @ to_v.T


def machine(n=4, m=3, seed=0, scale=1.0, **options):
    """A model of one RBM with random weights, its layer, and the weights."""
    random = np.random.default_rng(seed)
    layer = RBM(m, seed=seed, **options)
    model = keras.Sequential([keras.Input((n,)), layer])
    model.compile(keras.optimizers.SGD(0.0))
    sizes = (n, m), (n,), (m,)
    weights = [scale * random.normal(size=size) for size in sizes]
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    return model, layer, weights


def numpy(x):
    return ops.convert_to_numpy(ops.stop_gradient(x))


def tensors(*arrays):
    return [ops.cast(array, "float32") for array in arrays]


@pytest.mark.parametrize(("visible", "hidden"), [(4, 3), (3, 5)])
def test_free_energy_log_z_and_likelihood_are_those_of_the_counted_net(visible, hidden):
    _, layer, weights = machine(visible, hidden)
    log_p, log_z = count(*weights)
    v = states(visible)
    log_p_v = np.logaddexp.reduce(log_p, axis=1)
    np.testing.assert_allclose(
        numpy(layer.free_energy(v)), -log_p_v - log_z, rtol=1e-5, atol=1e-5
    )
    assert layer.log_partition() == (pytest.approx(log_z, rel=1e-6), 0)
    found = numpy(layer.log_likelihood(v))
    np.testing.assert_allclose(found, log_p_v, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(numpy(layer.log_likelihood(v, log_z)), found, atol=1e-4)
    mean = (np.exp(log_p - log_p_v[:, None]) @ states(hidden)).astype("float32")
    np.testing.assert_allclose(numpy(layer(v)), mean, rtol=1e-5)


def test_pseudo_likelihood_is_that_of_the_counted_net():
    _, layer, weights = machine()
    p = np.exp(count(*weights)[0]).sum(1)
    v = states(4)
    others = np.array([[s ^ (8 >> i) for i in range(4)] for s in range(16)])
    terms = np.log(p[:, None] / (p[:, None] + p[others]))
    found = numpy(layer.pseudo_log_likelihood(v, exact=True))
    np.testing.assert_allclose(found, terms.sum(1), rtol=1e-4)
    # One drawn unit a row: each value is one of the four terms, times four.
    drawn = numpy(layer.pseudo_log_likelihood(v))
    assert (np.abs(drawn[:, None] - 4 * terms).min(1) < 1e-4).all()
    many = numpy(layer.pseudo_log_likelihood(np.repeat(v[5:6], 4000, 0)))
    bar = 5 * (4 * terms[5]).std() / np.sqrt(4000)
    assert abs(many.mean() - terms[5].sum()) < bar


def test_gaussian_visible_units_against_an_integral():
    """Two units: a grid of 0.05 out to 12 integrates exp(-E) to far below 1e-6."""
    _, layer, (W, b, c) = machine(2, 3, visible="gaussian", scale=0.7)
    axis = np.arange(-12, 12, 0.05)
    v = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    h = states(3)
    energy = ((v - b) ** 2).sum(1)[:, None] / 2 - h @ c - v @ W @ h.T
    free = -np.logaddexp.reduce(-energy, axis=1)
    some = slice(None, None, 5001)
    np.testing.assert_allclose(
        numpy(layer.free_energy(v[some])), free[some], rtol=1e-5, atol=1e-4
    )
    log_z = np.logaddexp.reduce(-free) + 2 * np.log(0.05)
    assert layer.log_partition().value == pytest.approx(log_z, abs=1e-5)
    sampled = numpy(layer.sample(4000, steps=20))
    p = np.exp(-free - np.logaddexp.reduce(-free))
    mean, square = p @ v, p @ v**2
    bar = 5 * np.sqrt(square - mean**2) / np.sqrt(4000)
    assert (np.abs(sampled.mean(0) - mean) < bar).all()


def test_relu_units_are_the_integral_of_softplus():
    """The trapezium rule at steps of 1e-3 errs by less than 1e-6 here."""
    grid = np.arange(-40, 10, 1e-3)
    softplus = np.logaddexp(0, grid)
    integral = np.cumsum((softplus[1:] + softplus[:-1]) / 2) * 1e-3
    x = grid[1::500]
    found = numpy(boltzmann.softplus_integral(ops.cast(x, "float32")))
    np.testing.assert_allclose(found, integral[::500], rtol=1e-4, atol=1e-6)
    # What it replaces: the sum of softplus over the units with c - 1/2, c - 3/2, ...
    # The midpoint rule at steps of 1 errs by the slope at the end, over 24.
    copies = np.logaddexp(0, x[:, None] - 0.5 - np.arange(200)).sum(1)
    assert np.abs(found - copies).max() < 1 / 24 + 1e-4
    # and the draws of Nair & Hinton: max(0, x + n sqrt(sigmoid(x)))
    noise = np.array([-2.0, 0.0, 0.5], "float32")
    x = np.array([1.0, -1.0, 0.3], "float32")
    drawn = boltzmann.hidden_sample(*tensors(x, noise), "relu")
    expected = np.maximum(0, x + noise / np.sqrt(1 + np.exp(-x)))
    np.testing.assert_allclose(numpy(drawn), expected, rtol=1e-5)


def test_relu_gradient_is_that_of_the_mean():
    """With lone visible states: loss = F(v) - F(v_k), so dF/dc = -softplus(c + v W)."""
    model, _layer, (W, _b, c) = machine(2, 3, hidden="relu")
    v = np.array([[1.0, 0.0]] * 4000)
    _, gradients = backend.gradient(model, v, None)
    x = boltzmann.to_hidden(*tensors(v[:1], W, c))
    mean = numpy(boltzmann.hidden_mean(x, "relu"))
    np.testing.assert_allclose(mean, np.logaddexp(0, c + v[:1] @ W), rtol=1e-5)
    # The chain's share is between the least and the most of the four states.
    ends = np.logaddexp(0, c + states(2) @ W)
    share = numpy(gradients[2]) + mean[0]
    assert (share >= ends.min(0) - 1e-4).all()
    assert (share <= ends.max(0) + 1e-4).all()


ROWS = 20_000


def data_of(seed=3):
    """Rows of visible states, and the chance of each state among them."""
    random = np.random.default_rng(seed)
    chosen = random.choice(16, ROWS, p=random.dirichlet(np.ones(16) / 2))
    return states(4)[chosen], np.bincount(chosen, minlength=16) / ROWS


def check_gradient(model, weights, v, p, chain, rows=ROWS):
    """The layer's gradient is mean over p minus mean over the chances `chain`."""
    _, gradients = backend.gradient(model, v, None)
    W, _, c = weights
    parts = zip(
        gradients,
        negative_phase(chain, W, c),
        negative_phase(p, W, c),
        strict=True,
    )
    for found, negative, positive in parts:
        bar = 5 * 0.5 / np.sqrt(rows)  # v and E[h] lie in [0, 1]: sd at most 1/2
        assert np.abs(numpy(found) - (negative - positive)).max() < bar


@pytest.mark.parametrize("k", [1, 3, 25])
def test_cd_k_is_k_exact_gibbs_steps(k):
    model, _, weights = machine(k=k, scale=1.5)
    v, p = data_of()
    chain = p @ np.linalg.matrix_power(one_step(*weights), k)
    check_gradient(model, weights, v, p, chain)


def test_cd_k_tends_to_the_exact_gradient():
    """In the counted chain the distance falls, and at k = 25 the samples agree."""
    model, _, weights = machine(k=25, scale=1.5)
    v, p = data_of()
    exact = np.exp(count(*weights)[0]).sum(1)
    step = one_step(*weights)
    chains = [p @ np.linalg.matrix_power(step, k) for k in (1, 3, 25)]
    far, nearer, near = (np.abs(chain - exact).sum() for chain in chains)
    assert far > 2 * nearer > 4 * near
    assert near < 0.01
    check_gradient(model, weights, v, p, exact)


def test_the_exact_gradient_is_that_of_the_likelihood():
    """By differences: d mean log p(v) = -(mean over data - mean over p) of dF."""
    W, b, c = machine()[2]
    _, p = data_of()
    exact = np.exp(count(W, b, c)[0]).sum(1)
    slope = negative_phase(p, W, c)[0] - negative_phase(exact, W, c)[0]
    for i, j in [(0, 0), (2, 1), (3, 2)]:
        values = []
        for change in (1e-5, -1e-5):
            moved = W.copy()
            moved[i, j] += change
            values.append(p @ np.logaddexp.reduce(count(moved, b, c)[0], axis=1))
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope[i, j], abs=1e-6)


def test_persistent_chains_reach_the_exact_gradient():
    model, layer, weights = machine(persistent=True, chains=ROWS, k=5)
    v, p = data_of()
    x = v[:1]  # the chains know nothing of the data
    for _ in range(8):
        backend.gradient(model, x, None)
    exact = np.exp(count(*weights)[0]).sum(1)
    check_gradient(model, weights, v, p, exact)
    _, _log_z = count(*weights)
    p_h = np.exp(count(*weights)[0]).sum(0)
    bar = 5 * 0.5 / np.sqrt(ROWS)
    found = numpy(layer.particles).mean(0)
    assert np.abs(found - p_h @ states(3)).max() < bar


def test_particles_are_saved_with_the_model(tmp_path):
    model, layer, _ = machine(persistent=True, chains=10)
    model.fit(states(4), epochs=2, verbose=0)
    model.save(tmp_path / "rbm.keras")
    loaded = keras.saving.load_model(tmp_path / "rbm.keras").layers[-1]
    np.testing.assert_array_equal(numpy(loaded.particles), numpy(layer.particles))
    np.testing.assert_array_equal(numpy(loaded.activity), numpy(layer.activity))
    assert set(np.unique(numpy(layer.particles))) == {0, 1}


@pytest.mark.long
@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_ais_is_within_its_own_error_bars(visible):
    """Five nets at four deviations, and ever narrower with more temperatures."""
    spreads = []
    for seed in range(5):
        _, layer, _ = machine(6, 5, seed, scale=0.8, visible=visible)
        exact = layer.log_partition().value
        for steps in (20, 400):
            found = layer.log_partition("ais", steps=steps, chains=400)
            assert abs(found.value - exact) < 4 * found.deviation + 1e-4
            spreads.append(found.deviation)
    coarse, fine = np.mean(spreads[::2]), np.mean(spreads[1::2])
    assert fine < coarse / 2


def check_frequencies(v, p):
    """Rows v are draws of states with the chances p."""
    found = np.bincount(v.astype(int) @ (8, 4, 2, 1), minlength=16) / len(v)
    assert (np.abs(found - p) < 5 * np.sqrt(p * (1 - p) / len(v)) + 1e-9).all()


def test_sampled_states_are_as_frequent_as_counted():
    _, layer, weights = machine()
    p = np.exp(count(*weights)[0]).sum(1)
    check_frequencies(numpy(layer.sample(5000, steps=30)), p)
    start = np.ones(4)  # forgotten after 30 steps
    check_frequencies(numpy(layer.sample(5000, 30, start)), p)
    # Means of the last step: their mean is the marginal
    means = numpy(layer.sample(5000, 30, means=True))
    assert ((means > 0) & (means < 1)).all()
    bar = 5 * 0.5 / np.sqrt(5000)
    assert np.abs(means.mean(0) - p @ states(4)).max() < bar


def test_clamped_units_stay_and_the_others_follow_them():
    _, layer, weights = machine()
    nan = np.nan
    p = np.exp(count(*weights)[0]).sum(1)
    p = np.where((states(4)[:, 0] == 1) & (states(4)[:, 3] == 0), p, 0)
    v = numpy(layer.sample(5000, 30, clamp=[1, nan, nan, 0]))
    assert (v[:, [0, 3]] == [1, 0]).all()
    check_frequencies(v, p / p.sum())


def test_reconstruct_is_one_mean_field_step():
    _, layer, (W, b, c) = machine()
    v = states(4)
    h = 1 / (1 + np.exp(-(c + v @ W)))
    expected = 1 / (1 + np.exp(-(b + h @ W.T)))
    np.testing.assert_allclose(numpy(layer.reconstruct(v)), expected, rtol=1e-5)


def test_scikit_learn_scores_the_same_under_the_same_weights():
    sk = pytest.importorskip("sklearn.neural_network")
    _, layer, (W, b, c) = machine(6, 4)
    theirs = sk.BernoulliRBM(4, random_state=0)
    v = np.random.default_rng(0).integers(0, 2, (50, 6)).astype("float64")
    theirs.fit(v)
    theirs.components_ = W.T
    theirs.intercept_visible_, theirs.intercept_hidden_ = b, c
    np.testing.assert_allclose(numpy(layer(v)), theirs.transform(v), rtol=1e-5)
    chosen = np.random.RandomState(0).randint(0, 6, 50)  # what it draws for a score
    x = boltzmann.to_hidden(*tensors(v, W, c))
    change = boltzmann.flip_difference(
        *tensors(v, x, W, b), ops.cast(chosen, "int32"), "bernoulli"
    )
    ours = numpy(boltzmann.pseudo_log_likelihood(change, 6))
    np.testing.assert_allclose(ours, theirs.score_samples(v), rtol=1e-4)


def test_the_logs_tell_what_the_methods_tell():
    """Without learning every epoch has the figures of the weights at hand."""
    model, layer, _ = machine()
    v = states(4)
    history = model.fit(v, batch_size=16, epochs=2, validation_data=(v,), verbose=0)
    logs = history.history
    figures = {"free_energy", "reconstruction_error", "pseudo_likelihood"}
    assert set(logs) == {f"{a}{b}" for a in ("", "val_") for b in {"loss", *figures}}
    for prefix in ("", "val_"):
        found = logs[f"{prefix}free_energy"][-1]
        assert found == pytest.approx(numpy(layer.free_energy(v)).mean(), rel=1e-5)
        found = logs[f"{prefix}reconstruction_error"][-1]
        error = ((v - numpy(layer.reconstruct(v))) ** 2).mean()
        assert found == pytest.approx(error, rel=1e-5)
    exact = numpy(layer.pseudo_log_likelihood(v, exact=True)).mean()
    assert logs["val_pseudo_likelihood"][-1] == pytest.approx(exact, rel=0.5)
    assert logs["val_loss"] == pytest.approx(
        [-x for x in logs["val_pseudo_likelihood"]], rel=1e-5
    )
    logs = model.evaluate(v[:3], verbose=0, return_dict=True)
    found = numpy(layer.free_energy(v[:3])).mean()
    assert logs["free_energy"] == pytest.approx(found, rel=1e-5)


def test_the_logs_are_the_same_operation_by_operation():
    logs = []
    for eager in (False, True):
        model, _, _ = machine()
        model.compile(keras.optimizers.SGD(0.0), run_eagerly=eager)
        data = {"batch_size": 16, "shuffle": False, "verbose": 0}
        logs.append(model.fit(states(4), **data).history)
    for name, values in logs[0].items():
        assert logs[1][name] == pytest.approx(values, rel=1e-4), name


def test_rows_and_units_are_spread_evenly():
    """The deterministic units of validation: each is meant about equally often."""
    for first in (0, 10_000_000):
        units = numpy(boltzmann.units_to_flip(first, 0.0, 1000, 7))
        assert np.bincount(units, minlength=7) == pytest.approx(1000 / 7, abs=5)
        units = numpy(boltzmann.units_to_flip(first, 0.0, 784, 784))
        assert len({*units}) > 600
    assert set(numpy(boltzmann.units_to_flip(0, 0.9999999, 100, 3))) == {0, 1, 2}


@pytest.mark.long
def test_the_validation_goes_over_the_units_whatever_the_batches():
    """Four rows for each unit: near the exact mean."""
    p = np.linspace(0.01, 0.99, 64)
    random = np.random.default_rng(0)
    v = (random.random((256, 64)) < p).astype("float32")
    model, layer, _ = machine(64, 3, scale=0.1)
    exact = numpy(layer.pseudo_log_likelihood(v, exact=True)).mean()
    found = [
        model.evaluate(v, batch_size=size, verbose=0, return_dict=True)
        for size in (1, 10, 256)
    ]
    for logs in found:
        assert logs["pseudo_likelihood"] == pytest.approx(exact, rel=0.02)
        assert logs["loss"] == pytest.approx(-logs["pseudo_likelihood"], rel=1e-4)
        expected = found[0]["pseudo_likelihood"]
        assert logs["pseudo_likelihood"] == pytest.approx(expected, rel=1e-4)


def trained(v, steps, **options):
    """The layer after SGD at 0.2 on batches of 60 rows."""
    layer = RBM(seed=1, **options)
    model = keras.Sequential([keras.Input((v.shape[1],)), layer])
    model.compile(keras.optimizers.SGD(0.2))
    rows = np.tile(v, (-(-60 * steps // len(v)), 1))[: 60 * steps]
    model.fit(rows, batch_size=60, shuffle=False, verbose=0)
    return layer


@pytest.mark.parametrize(
    "options", [{"k": 5}, {"persistent": True, "chains": 60}], ids=["CD-5", "PCD"]
)
@pytest.mark.long
def test_both_rules_learn_the_data(options):
    """Three equally likely states of sixteen: log p would be -log 3 = -1.10 at best,
    and is -log 16 = -2.77 at the start."""
    v = states(4)[[3, 12, 15]]
    layer = trained(v, 600, units=6, **options)
    assert numpy(layer.log_likelihood(v)).mean() > -1.5


@pytest.mark.parametrize("visible", ["bernoulli", "gaussian"])
def test_the_visible_biases_start_from_the_data(visible):
    """Without weights a machine with b then has the data's means."""
    v = np.array([[0, 1, 0.5, 0], [0, 1, 0.5, 1], [0, 1, 0, 1], [0, 1, 0, 1]])
    layer = RBM(3, visible=visible, data_init=True)
    layer.adapt([(v[:3], None), (v[3:], None)])  # batch by batch
    b = numpy(layer.visible_bias)
    if visible == "gaussian":
        np.testing.assert_allclose(b, [0, 1, 0.25, 0.75])
    else:  # 0 and 1 are kept away from infinity, by half a sample
        p = 1 / (1 + np.exp(-b))
        np.testing.assert_allclose(p, [0.125, 0.875, 0.25, 0.75], rtol=1e-6)
    plain = RBM(3)
    plain.build((None, 4))
    plain.adapt(v)
    assert not numpy(plain.visible_bias).any()


@pytest.mark.long
def test_learning_waits_for_adapt(tmp_path):
    v = np.ones((8, 4), "float32")

    def machine():
        model = keras.Sequential([keras.Input((4,)), RBM(3, data_init=True)])
        model.compile("sgd")
        return model

    with pytest.raises(ValueError, match=r"after `adapt\(data\)`"):
        machine().fit(v, verbose=0)
    machine().save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match=r"after `adapt\(data\)`"):
        keras.saving.load_model(tmp_path / "m.keras").fit(v, verbose=0)
    model = machine()
    model.load_weights(tmp_path / "m.keras")  # of one that waits
    model.layers[-1].adapt(v)
    model.fit(v, verbose=0)
    model.save(tmp_path / "m.keras")
    keras.saving.load_model(tmp_path / "m.keras").fit(v, verbose=0)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    with pytest.raises(ValueError, match=r"load the file .*`set_weights` do not tell"):
        copy(v, training=True)
    copy.load_weights(tmp_path / "m.keras")
    copy.compile("sgd")
    copy.fit(v, verbose=0)


@pytest.mark.long
def test_sparsity_pulls_the_running_activity_to_its_target():
    v = np.random.default_rng(0).integers(0, 2, (60, 8))
    found = [
        numpy(trained(v, 400, units=5, sparsity_target=t, sparsity_cost=1.0)(v)).mean()
        for t in (None, 0.1)
    ]
    assert found[0] > 0.3
    assert found[1] == pytest.approx(0.1, abs=0.05)


def test_sparsity_gradient_is_the_formula():
    """c_j gains cost (q_j - p) with q = 0.9 target + 0.1 mean of E[h]."""
    v, _ = data_of()
    gradients, layers = [], []
    for target in (None, 0.2):
        model, layer, _ = machine(sparsity_target=target, sparsity_cost=3.0)
        gradients.append(numpy(backend.gradient(model, v, None)[1][2]))
        layers.append(layer)
    mean = numpy(layers[1](v)).mean(0)
    q = 0.9 * 0.2 + 0.1 * mean
    np.testing.assert_allclose(numpy(layers[1].activity), q, rtol=1e-4)
    gained = gradients[1] - gradients[0]
    np.testing.assert_allclose(gained, 3 * (q - 0.2), atol=1e-3)


def test_what_feeds_the_machine_does_not_serve_its_loss():
    layer, front = RBM(3, seed=0), keras.layers.Dense(4, "sigmoid")
    model = keras.Sequential([keras.Input((2,)), front, layer])
    model.compile(keras.optimizers.SGD(1.0))
    x = np.random.default_rng(0).normal(size=(8, 2))
    _, gradients = backend.gradient(model, x, None)
    for gradient in gradients[:2]:
        assert gradient is None or not numpy(gradient).any()
    assert numpy(gradients[2]).any()


def test_frozen_it_has_no_loss():
    model, layer, _ = machine(persistent=True)
    layer.trainable = False
    model(states(4), training=True)
    assert not model.losses
    assert not numpy(layer.particles).any()


def test_samples_are_drawn_in_training_only():
    _, layer, _ = machine(output="samples")
    v = states(4)
    assert set(np.unique(numpy(layer(v, training=True)))) == {0, 1}
    assert (numpy(layer(v)) % 1 > 0).all()


@pytest.mark.parametrize("name", ["units", "k", "chains"])
def test_counts_out_of_bounds(name):
    arguments = {"units": 2, name: 0}
    with pytest.raises(ValueError, match=rf"`{name}` must be at least 1. Received"):
        RBM(**arguments)
    with pytest.raises(TypeError, match=rf"`{name}` must be an integer. Received"):
        RBM(**{**arguments, name: 1.5})


@pytest.mark.parametrize("name", ["visible", "hidden", "output"])
def test_unknown_words(name):
    with pytest.raises(ValueError, match=rf"`{name}` must be one of .*'gauss'"):
        RBM(2, **{name: "gauss"})


@pytest.mark.parametrize("target", [0, 1, 1.5, np.nan])
def test_sparsity_out_of_bounds(target):
    with pytest.raises(ValueError, match="greater than 0, less than 1"):
        RBM(2, sparsity_target=target)
    with pytest.raises(ValueError, match="Bernoulli hidden unit"):
        RBM(2, hidden="relu", sparsity_target=0.1)


@pytest.mark.parametrize("value", [-0.01, 1.01, np.nan])
def test_values_that_no_bernoulli_unit_has(value):
    model, layer, _ = machine()
    bad = np.array([[0, 1, 0.5, value]])
    for use in (layer, layer.free_energy, layer.reconstruct):
        with pytest.raises(ValueError, match=r"in \[0, 1\]: scale the data.*Received"):
            use(bad)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        layer.sample(1, 1, start=bad)
    if backend.name() == "jax":  # XLA raises nothing
        logs = model.fit(bad, verbose=0).history
        assert np.isnan(logs["loss"][0])
    else:
        with pytest.raises(Exception, match=r"in \[0, 1\]: scale the data"):
            model.fit(bad, verbose=0)


def test_gaussian_units_take_any_finite_value():
    _, layer, _ = machine(visible="gaussian")
    layer(np.array([[-5.0, 300.0, 0, 1]]))
    with pytest.raises(ValueError, match="take finite values"):
        layer(np.array([[0, 1, 0.5, np.inf]]))


def test_bad_use():
    _, layer, _ = machine()
    with pytest.raises(ValueError, match=r"`steps` must be at least 1. Received"):
        layer.log_partition("ais", steps=0)
    with pytest.raises(ValueError, match="`chains` must be at least 2"):
        layer.log_partition("ais", chains=1)
    with pytest.raises(ValueError, match="'exact' or 'ais'"):
        layer.log_partition("guess")
    with pytest.raises(ValueError, match="`steps` must be at least 1"):
        layer.sample(1, 0)
    with pytest.raises(ValueError, match="`n` must be at least 1"):
        layer.sample(0, 1)
    with pytest.raises(ValueError, match=r"shape \(batch, 4\)"):
        layer.free_energy(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="no weights yet"):
        RBM(3).sample(1, 1)
    with pytest.raises(ValueError, match="Put a Flatten before it"):
        RBM(3)(np.zeros((2, 3, 3)))
    with pytest.raises(ValueError, match=r"at most 20 units.*Use `method='ais'`"):
        machine(21, 21)[1].log_partition()
    relu = machine(hidden="relu")[1]
    with pytest.raises(ValueError, match="needs Bernoulli hidden units"):
        relu.log_partition("ais")
    with pytest.raises(ValueError, match="exact only with a Bernoulli side"):
        machine(visible="gaussian", hidden="relu")[1].log_partition()
    with pytest.raises(ValueError, match="needs visible='bernoulli'"):
        machine(visible="gaussian")[1].pseudo_log_likelihood(np.zeros((1, 4)))


def test_exact_log_z_of_relu_units_by_their_free_energy():
    _, layer, _ = machine(hidden="relu")
    log_z = np.logaddexp.reduce(-numpy(layer.free_energy(states(4))))
    assert layer.log_partition().value == pytest.approx(log_z, rel=1e-5)


def test_twenty_units_can_be_counted_in_blocks():
    """Without weights Z is a product: 2^13 visible states times 2^2."""
    weights = np.zeros((13, 14)), np.zeros(13), np.zeros(14)
    found = partition.exact(*weights, "bernoulli", "bernoulli")
    assert found.value == pytest.approx(27 * np.log(2))


@pytest.mark.study
@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute's replicas")
def test_two_replicas_share_the_chains(tmp_path):
    script = Path(__file__).with_name("rbm_on_two_replicas.py")
    command = [sys.executable, str(script), str(tmp_path / "rbm.keras")]
    found = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert found.stdout == "fine\n", found.stderr
