"""DBM against brute force: machines whose states are all counted, from E alone.

Bars of five standard deviations are taken from the counted probabilities.
"""

import itertools
import types

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import ConfigError, load_model, train
from keras_dlparts.layers.energy import deep
from keras_dlparts.models import DBM
from keras_dlparts.training import pretraining
from keras_dlparts.training.checkpoint import Checkpoints

SIZES = 4, 3, 2


def numpy(x):
    return ops.convert_to_numpy(ops.stop_gradient(x))


def states(n):
    return np.array([*itertools.product([0.0, 1.0], repeat=n)])


def layers_of(x, sizes=SIZES):
    return np.split(x, np.cumsum(sizes)[:-1], axis=1)


def count(W, b):
    """log p of every state of all units, v first; and log Z."""
    h = layers_of(states(sum(map(len, b))), [*map(len, b)])
    minus = sum(x @ c for x, c in zip(h, b, strict=True))
    minus += sum(
        np.einsum("si,ij,sj->s", x, w, y)
        for x, w, y in zip(h[:-1], W, h[1:], strict=True)
    )
    log_z = np.logaddexp.reduce(minus)
    return minus - log_z, log_z


def machine(sizes=SIZES, seed=0, scale=1.0, **options):
    """(model, W, b) with random weights."""
    random = np.random.default_rng(seed)
    model = DBM([*sizes[1:]], input_shape=sizes[:1], seed=seed, **options)
    W = [scale * random.normal(size=s) for s in itertools.pairwise(sizes)]
    b = [0.5 * random.normal(size=n) for n in sizes]
    model.machine.take(W, b)
    return model, W, b


@pytest.fixture(scope="module")
def small():
    return machine()


@pytest.mark.parametrize("sizes", [(4, 3, 2), (3, 3, 2, 2), (2, 3, 2, 2, 1)])
def test_energy_log_z_and_bound_are_held_against_every_state(sizes):
    model, W, b = machine(sizes)
    log_p, log_z = count(W, b)
    x = states(sum(sizes))
    found = numpy(model.energy(layers_of(x, sizes)))
    np.testing.assert_allclose(found, -log_p - log_z, rtol=1e-5, atol=1e-5)
    assert model.log_partition() == (pytest.approx(log_z, rel=1e-6), 0)
    log_p_v = np.logaddexp.reduce(log_p.reshape(2 ** sizes[0], -1), axis=1)
    bound = model.bound(states(sizes[0]))
    assert (bound <= log_p_v + 1e-5).all()
    assert (bound > log_p_v - 0.5).all()
    # The bound is -E + H of the means that come out, whatever these are.
    mu = model.machine.means(states(sizes[0]))
    parts = [-(m * np.log(m) + (1 - m) * np.log(1 - m)).sum(1) for m in mu[1:]]
    np.testing.assert_allclose(
        bound, sum(parts) - numpy(model.energy(mu)) - log_z, rtol=1e-4, atol=1e-4
    )


def test_the_bound_is_exact_where_the_last_layer_is_not_connected(small):
    _, W, b = small
    model, W = machine()[0], [W[0], 0 * W[1]]
    model.machine.take(W, b)
    log_p = count(W, b)[0].reshape(16, 32)
    np.testing.assert_allclose(
        model.bound(states(4)), np.logaddexp.reduce(log_p, axis=1), atol=1e-4
    )


@pytest.mark.parametrize("damping", [0.0, 0.6])
def test_each_update_raises_the_bound_and_ends_where_no_mean_moves(damping):
    model, W, b = machine((4, 3, 2, 2), scale=1.5)
    M = deep.sides(*model.machine.plain())
    v = ops.convert_to_tensor(states(4).astype("float32"))
    energies = [
        numpy(deep.free_energy(v, *M, steps=steps, damping=damping))
        for steps in (0, 1, 2, 5, 10, 200)
    ]
    assert all((a >= b - 1e-5).all() for a, b in itertools.pairwise(energies))
    assert (energies[0] > energies[-1] + 1e-3).any()
    even, odd = deep.mean_field(v, *M, steps=200, damping=damping)
    mu = [numpy(h) for h in deep.apart(even, odd, [4, 3, 2, 2])]
    for i in (1, 2, 3):
        drive = b[i] + mu[i - 1] @ W[i - 1]
        if i < 3:
            drive += mu[i + 1] @ W[i].T
        np.testing.assert_allclose(mu[i], 1 / (1 + np.exp(-drive)), atol=1e-4)


def test_offsets_change_parameters_and_not_the_machine(small):
    plain, W, b = small
    centred = machine(centering=True)[0]
    means = [np.full(n, 0.1 * (i + 1)) for i, n in enumerate(SIZES)]
    centred.machine.take(W, b, means)
    v = states(4)
    np.testing.assert_allclose(centred.bound(v), plain.bound(v), rtol=1e-4, atol=1e-4)
    assert centred.log_partition().value == pytest.approx(
        plain.log_partition().value, rel=1e-5
    )
    # The energy of the stored parameters, of h - o, differs by the same for all states.
    found = [numpy(w) for w in centred.machine.biases]
    x = [h - o for h, o in zip(layers_of(states(9)), means, strict=True)]
    stored = -sum(h @ c for h, c in zip(x, found, strict=True))
    stored -= sum((h @ w * g).sum(1) for h, w, g in zip(x[:-1], W, x[1:], strict=True))
    energy = numpy(plain.energy(layers_of(states(9))))
    np.testing.assert_allclose(stored - stored[0], energy - energy[0], atol=1e-4)


CHAINS = 20_000


@pytest.mark.parametrize("centering", [False, True])
def test_the_gradient_is_that_of_the_bound_with_the_model_from_chains(centering):
    """The chains are drawn from p; the means of both phases are counted in numpy."""
    model, W, b = machine(chains=CHAINS, centering=centering)
    p = np.exp(count(W, b)[0])
    h = layers_of(states(9))
    drawn = np.random.default_rng(2).choice(2**9, CHAINS, p=p)
    model.machine.particles.assign(np.concatenate([h[0], h[2]], axis=1)[drawn])
    data = np.random.default_rng(3).integers(0, 2, (64, 4)).astype("float32")
    mu = model.machine.means(data)
    before = [w.copy() for w in model.get_weights()]
    model.compile(keras.optimizers.SGD(1.0))
    model.fit(data, batch_size=64, epochs=1, verbose=0)
    steps = [new - old for new, old in zip(model.get_weights(), before, strict=True)]
    o = [0.5 * centering] * 3  # units are counted from their offsets
    for i in (0, 1):
        seen = (mu[i] - o[i]).T @ (mu[i + 1] - o[i + 1]) / 64
        dreamt = ((h[i] - o[i]).T * p) @ (h[i + 1] - o[i + 1])
        np.testing.assert_allclose(steps[i], seen - dreamt, atol=2.5 / CHAINS**0.5)
    for i in (0, 1, 2):
        wanted = mu[i].mean(0) - p @ h[i]
        np.testing.assert_allclose(steps[2 + i], wanted, atol=2.5 / CHAINS**0.5)


@pytest.mark.long
def test_the_validation_goes_over_the_units_whatever_the_batches():
    """A unit that is always 0 is easy, and was all that batches of a row looked at."""
    model, _, b = machine((8, 3, 2), scale=0.0)
    model.compile(keras.optimizers.SGD(0.0))
    v = np.zeros((64, 8), "float32")
    # Without weights the units are independent.
    exact = np.logaddexp(0, b[0]).sum()
    for size in (1, 10, 64):
        found = model.evaluate(v, batch_size=size, verbose=0, return_dict=True)
        assert found["loss"] == pytest.approx(exact, rel=0.02)


def test_samples_are_drawn_from_the_machine(small):
    """Clamped or not; chi-square of the frequencies of all visible states."""
    model, W, b = small
    p = np.exp(count(W, b)[0]).reshape(16, 32).sum(axis=1)
    n = 10_000
    for clamp in (None, [1, np.nan, np.nan, 0]):
        wanted = p.copy()
        if clamp:
            wanted *= (states(4)[:, 0] == 1) * (states(4)[:, 3] == 0)
        wanted /= wanted.sum()
        v = numpy(model.sample(n, 30, clamp=clamp))
        found = np.bincount((v @ [8, 4, 2, 1]).astype(int), minlength=16)
        assert (found[wanted == 0] == 0).all()
        possible = wanted > 0
        chi = ((found - n * wanted)[possible] ** 2 / (n * wanted[possible])).sum()
        freedom = possible.sum() - 1
        assert chi < freedom + 5 * np.sqrt(2 * freedom)
    other = numpy(model.sample(n, 30, clamp=clamp))
    assert not np.array_equal(v, other), "each call draws anew"


def test_a_chain_starts_from_the_means_of_its_data():
    model, W, b = machine(scale=60.0)
    v = states(4)
    mu = model.machine.means(v)
    after = numpy(model.sample(16, 1, start=v, means=True))
    drive = b[1] + v @ W[0] + mu[2] @ W[1].T
    sure = np.abs(drive).min(axis=1) > 8  # then the step has one outcome
    assert sure.sum() > 5
    wanted = 1 / (1 + np.exp(-(b[0] + (drive > 0) @ W[0].T)))
    np.testing.assert_allclose(after[sure], wanted[sure], atol=1e-3)


@pytest.mark.long
def test_annealing_finds_log_z_within_its_bars():
    """The engine is that of the RBM, whose tests look at more machines."""
    errors = []
    for seed in range(6):
        model, W, b = machine((5, 4, 3), seed)
        value, deviation = model.log_partition(
            "ais", steps=100, chains=50, data=np.eye(5, dtype="float32")
        )
        errors.append(abs(value - count(W, b)[1]) / max(deviation, 1e-3))
    assert max(errors) < 4
    assert np.median(errors) < 2


TWO = np.repeat([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], 30, axis=0).astype("float32")


@pytest.fixture(scope="module")
def learnt():
    """(model, histories) of two states that occur, pre-trained."""
    model = DBM([4, 3], chains=60, k=5, input_shape=(2, 3), seed=0)
    x = TWO.reshape(-1, 2, 3)
    return model, model.pretrain(
        x, epochs=4, batch_size=5, learning_rate=0.5, joint_epochs=1
    )


def test_pretraining_doubles_what_is_free(monkeypatch):
    """Three layers: what each machine learns on, and what the deep one has of it."""
    given, rbms = [], []

    def fit(model, rows, epochs, batch_size, number):
        random = np.random.default_rng(number)
        rbm = model.layers[-1]
        given.append(rows)
        for w in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias):
            w.assign(random.normal(size=w.shape))
        axis = {0: 0, 2: 1}.get(number)
        if axis is not None:  # as the optimizer leaves it
            rbm.kernel.assign(rbm.kernel_constraint(rbm.kernel))
        rbms.append([numpy(w) for w in (rbm.kernel, rbm.visible_bias, rbm.hidden_bias)])
        return {"loss": [0.0] * epochs}

    model = DBM([3, 2, 4], input_shape=(6,), seed=0)
    model.pretrain(TWO, epochs=1, fit=fit)
    (K1, b1, c1), (K2, b2, c2), (K3, b3, c3) = rbms
    assert (K1.shape, K2.shape, K3.shape) == ((12, 3), (3, 2), (2, 8))
    np.testing.assert_array_equal(given[0], TWO)
    h1 = 1 / (1 + np.exp(-(c1 + 2 * TWO @ K1[:6])))  # twice from below
    np.testing.assert_allclose(given[1], h1, rtol=1e-5)
    h2 = 1 / (1 + np.exp(-(c2 + h1 @ K2)))
    np.testing.assert_allclose(given[2], h2, rtol=1e-5)
    W, b = ([*map(numpy, each)] for each in model.machine.plain())
    for found, wanted in zip(W, (K1[:6], K2 / 2, K3[:, :4]), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)
    wanted = [(b1[:6] + b1[6:]) / 2, (c1 + b2) / 2, (c2 + b3) / 2]
    for found, one in zip(b, [*wanted, (c3[:4] + c3[4:]) / 2], strict=True):
        np.testing.assert_allclose(found, one, rtol=1e-5)


@pytest.mark.long
def test_it_learns_layer_by_layer_and_as_a_whole(learnt):
    model, histories = learnt
    assert [len(history["loss"]) for history in histories] == [4, 4, 1]
    assert model.bound(TWO).mean() > -2  # two states at best 0.69, 6 fair coins 4.2
    model.compile(keras.optimizers.SGD(0.05))
    history = model.fit(
        TWO.reshape(-1, 2, 3),
        batch_size=20,
        epochs=15,
        validation_data=(TWO.reshape(-1, 2, 3),),
        validation_freq=15,
        verbose=0,
    ).history
    assert np.exp(model.bound(TWO)).min() > 0.2  # of 64 states
    assert history["val_loss"][-1] < 1 < 6 * np.log(2)
    free = model.machine.free_energy(TWO).mean()
    assert history["val_free_energy"][-1] == pytest.approx(free, rel=1e-4)
    half = np.where(np.arange(6) < 3, TWO[[0, -1]], np.nan)
    completed = numpy(model.sample(2, 50, clamp=half, means=True))
    np.testing.assert_array_equal(completed > 0.5, TWO[[0, -1]])


@pytest.mark.long
def test_the_classifier_begins_as_the_machine(learnt):
    model, _ = learnt
    x = TWO.reshape(-1, 2, 3)
    made = model.classifier(3)
    mu = made.machine.means(TWO)
    for ours, theirs in zip(mu, model.machine.means(TWO), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    h = np.concatenate([mu[0], mu[2]], axis=1)
    for layer, wanted in zip(made.hidden, mu[1:], strict=True):
        h = numpy(layer(h))
        np.testing.assert_allclose(h, wanted, atol=1e-3)  # where mean field settles
    np.testing.assert_allclose(model.features(x), mu[2], rtol=1e-6)
    np.testing.assert_allclose(numpy(model(x)), mu[2], rtol=1e-4)


@pytest.mark.long
def test_fine_tuning_leaves_the_machine_as_it_is():
    model = DBM([4, 3], classes=2, chains=20, input_shape=(6,), seed=0)
    histories = model.pretrain(TWO, epochs=2, batch_size=20)
    assert [len(history["loss"]) for history in histories] == [2, 2, 2]
    before = [w.copy() for w in model.machine.get_weights()]
    W = model.hidden[0].get_weights()[0]
    np.testing.assert_array_equal(W[:6], before[0])
    np.testing.assert_array_equal(W[6:], before[1].T)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss, metrics=["accuracy"])
    y = TWO[:, 0].astype(int)
    history = model.fit(TWO, y, epochs=10, batch_size=20, verbose=0).history
    assert history["accuracy"][-1] == 1
    assert "free_energy" not in history
    for old, new in zip(before, model.machine.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert not np.array_equal(W, model.hidden[0].get_weights()[0])


CONFIG = {
    "data": {"use": "digits", "samples": 100, "batch_size": 45, "binarize": "anew"},
    "model": {"use": "DBM", "units": [5, 4], "chains": 10, "data_init": True},
    "pretrain": {"epochs": 1, "joint_epochs": 2, "joint_learning_rate": 0.02},
    "optimizer": {"use": "SGD", "learning_rate": 0.05},
    "fit": {"epochs": 2},
}


@pytest.mark.study
def test_a_config_learns_it_and_a_stopped_run_ends_with_the_same_weights(
    tmp_path, monkeypatch
):
    learn, learnt = pretraining._learn, []

    def watched(model, batches, *args):
        learnt.append({*np.unique(batches[0][0])} == {0, 1})
        return learn(model, batches, *args)

    monkeypatch.setattr(pretraining, "_learn", watched)
    whole = train(CONFIG, out=tmp_path / "whole")
    # The first layer and the machine of all see the data, drawn anew; the second not.
    assert learnt == [True, False, True]
    save, epochs = Checkpoints.save, []

    def saved(self, epoch, *args):
        save(self, epoch, *args)
        epochs.append(epoch)
        if epochs == [0, 1]:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", saved)
    with pytest.raises(KeyboardInterrupt):
        train(CONFIG, out=tmp_path / "cut")
    resumed = train(CONFIG, out=tmp_path / "cut", resume=True)
    assert epochs == [0, 1, 2]
    ours, theirs = resumed.model.weights, whole.model.weights
    assert any("particles" in weight.path for weight in ours)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(numpy(one), numpy(other))
    loaded = load_model(whole.path / "last.keras")
    x = np.random.default_rng(0).integers(0, 2, (5, 64)).astype("float32")
    np.testing.assert_allclose(loaded.features(x), whole.model.features(x), rtol=1e-5)


def test_joint_learning_is_asked_of_what_has_it_only(tmp_path):
    loss = {"use": "SparseCategoricalCrossentropy", "from_logits": True}
    model = {"use": "DBN", "units": [5, 4], "classes": 10}
    config = CONFIG | {"model": model, "loss": loss}
    with pytest.raises(ConfigError, match="unknown key 'joint_epochs'"):
        train(config, out=tmp_path)


@pytest.mark.long
def test_offsets_are_the_means_after_pretraining():
    model = DBM([4, 3], centering=True, input_shape=(6,), seed=0)
    model.pretrain(TWO, epochs=1, batch_size=20)
    for offset, mu in zip(model.machine.offsets, model.machine.means(TWO), strict=True):
        np.testing.assert_allclose(numpy(offset), mu.mean(0), rtol=1e-4)


def test_the_visible_units_start_from_the_data_if_asked_to(tmp_path):
    x = np.repeat([[1.0, 0.0, 0.25]], 100, axis=0).astype("float32")
    model = DBM([3, 2], centering=True, data_init=True, input_shape=(3,), seed=0)
    with pytest.raises(ValueError, match="learns after `adapt"):
        model(x, training=True)
    model.save(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="learns after `adapt"):
        keras.saving.load_model(tmp_path / "m.keras")(x, training=True)
    model.machine.adapt(x)
    bias = numpy(model.machine.plain()[1][0])
    np.testing.assert_allclose(1 / (1 + np.exp(-bias)), [0.995, 0.005, 0.25], rtol=1e-4)
    np.testing.assert_allclose(numpy(model.machine.offsets[0]), x[0], rtol=1e-6)
    model(x, training=True)
    model.save(tmp_path / "m.keras")
    keras.saving.load_model(tmp_path / "m.keras")(x, training=True)


def test_figures_are_samples_filters_and_the_free_energy():
    pytest.importorskip("matplotlib")

    history = {"free_energy": [2.0, 1.0], "val_free_energy": [3.0, 2.5]}
    run = types.SimpleNamespace(history=history)
    model, W, _ = machine((9, 3, 2), chains=5)
    found = model.figures(run)
    first, second, samples, gauge = found.values()
    shown = np.asarray(first.axes[0].images[0].get_array())
    np.testing.assert_allclose(shown[:3, :3], W[0][:, 0].reshape(3, 3), rtol=1e-5)
    shown = np.asarray(second.axes[0].images[0].get_array())
    both = (W[0] @ W[1])[:, 0].reshape(3, 3)
    np.testing.assert_allclose(shown[:3, :3], both, rtol=1e-5)
    shown = np.asarray(samples.axes[0].images[0].get_array())
    assert np.nanmin(shown) >= 0
    assert np.nanmax(shown) <= 1
    lines = [[*line.get_ydata()] for line in gauge.axes[0].lines]
    assert lines == [*history.values()]
    assert DBM([3, 2]).figures(run) == {}


def test_what_cannot_be_asked_is_refused():
    for units in ([], 5, [3], [3, 0], [3, 1.5]):
        with pytest.raises(ValueError, match=r"at least two. Received.*`layers.RBM`"):
            DBM(units)
    with pytest.raises(ValueError, match="`classes` must be at least 1"):
        DBM([3, 2], classes=0)
    with pytest.raises(ValueError, match="0 <= damping < 1"):
        DBM([3, 2], damping=1.0)
    for name in ("k", "chains", "inference_steps"):
        with pytest.raises(ValueError, match=f"`{name}` must be at least 1"):
            DBM([3, 2], **{name: 0})
    model = DBM([21, 2])
    for ask in (model.log_partition, lambda: model.sample(1, 1)):
        with pytest.raises(ValueError, match="has no weights yet"):
            ask()
    with pytest.raises(ValueError, match="has no weights yet"):
        model.classifier(2)
    with pytest.raises(ValueError, match=r"in \[0, 1\].*Received: -1"):
        model.pretrain(TWO - 1, epochs=0)
    model = DBM([21, 2], input_shape=(30,))
    with pytest.raises(ValueError, match=r"at most 20 units.*Use `method='ais'`"):
        model.log_partition()
    with pytest.raises(ValueError, match=r"30 visible units. Received: \(60, 6\)"):
        model.bound(TWO, 0.0)
    with pytest.raises(ValueError, match=r"values in \[0, 1\].*Received: -1 to -1"):
        model.bound(np.full((2, 30), -1.0), 0.0)


@pytest.mark.parametrize("classes", [None, 2])
def test_all_layers_compute_in_the_dtype_of_the_model(classes):
    policy = "mixed_bfloat16"
    model = DBM([3, 2], classes, dropout=0.5, input_shape=(6,), dtype=policy)
    ends = [] if classes is None else [model.head]
    inner = [model.flatten, model.machine, *model.hidden, *model.drops, *ends]
    assert {layer.compute_dtype for layer in inner} == {"bfloat16"}
    assert keras.backend.standardize_dtype(model(TWO).dtype) == "bfloat16"
