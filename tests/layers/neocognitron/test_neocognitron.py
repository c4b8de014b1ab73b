"""The Neocognitron's cells against their formulas. The contract: tests/contracts."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend, distribute
from keras_dlparts.layers import NeocognitronC, NeocognitronS
from keras_dlparts.testing import replication

numpy = ops.convert_to_numpy


def activities(*shape, seed=0):
    x = np.random.default_rng(seed).random(shape)
    return np.where(x > 0.4, x, 0).astype("float32")


def c_of(size, channels, decay):
    far = [[np.hypot(i - (size[0] - 1) / 2, j - (size[1] - 1) / 2)
            for j in range(size[1])] for i in range(size[0])]  # fmt: skip
    c = np.repeat((decay ** np.array(far))[..., None], channels, axis=-1)
    return c / c.sum()


def fields_of(u, size):
    """What each cell of one sample sees, by its place."""
    return {
        (i, j): u[i : i + size[0], j : j + size[1]]
        for i in range(u.shape[0] - size[0] + 1)
        for j in range(u.shape[1] - size[1] + 1)
    }


def cell(field, a, b, c, r, convention):
    e = (a * field).sum()
    v = np.sqrt((c * field**2).sum())
    kappa = {"1980": 2 * r / (1 + r), "1988": r / (1 + r)}[convention]
    return r * max((1 + e) / (1 + kappa * b * v) - 1, 0), v


def presented(u, a, b, c, r, q, column, convention):
    """Fukushima's rule for one sample: a and b afterwards."""
    fields, planes = fields_of(u, c.shape[:2]), range(len(b))
    y = {(n, k): cell(field, a[..., k], b[k], c, r, convention)
         for n, field in fields.items() for k in planes}  # fmt: skip
    near = column // 2
    seeds = [
        s
        for s in y
        if y[s][0]
        > max(
            y[o][0]
            for o in y
            if o != s and np.abs(np.subtract(o[0], s[0])).max() <= near
        )
    ]
    a, b = a.copy(), b.copy()
    for k in planes:
        own = [s for s in seeds if s[1] == k]
        if own:
            n, _ = best = max(own, key=lambda s: y[s][0])
            a[..., k] += q * c * fields[n]
            b[k] += q * y[best][1] / (2 if convention == "1980" else 1)
    return a, b


@pytest.mark.parametrize("convention", ["1980", "1988"])
def test_seed_cells_learn_as_in_the_papers_and_cells_respond(convention):
    x = activities(6, 6, 7, 2)
    layer = NeocognitronS(
        5, 3, 3.0, reinforcement=4.0, column_size=3, convention=convention, decay=0.8
    )
    layer.build(x.shape)
    c = c_of((3, 3), 2, 0.8)
    weak = np.random.default_rng(1).random(layer.kernel.shape)
    layer.kernel.assign(0.01 * weak * c[..., None])
    a, b = (numpy(v).astype("float64") for v in (layer.kernel, layer.inhibition))
    for u in x:
        a, b = presented(u, a, b, c, 3.0, 4.0, 3, convention)
    y = numpy(layer(x, training=True))
    assert (b > 0).sum() > 1, "the data should seed several planes"
    np.testing.assert_allclose(numpy(layer.kernel), a, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(numpy(layer.inhibition), b, rtol=1e-4)
    expected = [
        [cell(f, a[..., k], b[k], c, 3.0, convention)[0] for k in range(5)]
        for u in x
        for f in fields_of(u, (3, 3)).values()
    ]
    np.testing.assert_allclose(y.reshape(-1, 5), expected, rtol=1e-3, atol=1e-4)


def test_the_conventions_differ_in_the_unit_of_b_alone():
    x = activities(4, 5, 5, 1)
    early, late = (
        NeocognitronS(3, 3, padding="same", convention=name)
        for name in ("1980", "1988")
    )
    for layer in (early, late):
        layer.build(x.shape)
    early.set_weights(late.get_weights())
    np.testing.assert_allclose(
        numpy(early(x, training=True)), numpy(late(x, training=True)), atol=1e-5
    )
    np.testing.assert_allclose(
        numpy(late.inhibition), 2 * numpy(early.inhibition), rtol=1e-5
    )
    assert numpy(late.inhibition).max() > 0


def test_padding_same_teaches_what_cells_at_the_border_see():
    x = activities(3, 5, 6, 2)
    same = NeocognitronS(4, (3, 2), padding="same")
    valid = NeocognitronS(4, (3, 2))
    padded = np.pad(x, [(0, 0), (1, 1), (0, 1), (0, 0)])
    valid.build(padded.shape)
    same.build(x.shape)
    same.set_weights(valid.get_weights())
    np.testing.assert_allclose(
        numpy(same(x, training=True)), numpy(valid(padded, training=True)), atol=1e-5
    )
    for ours, theirs in zip(same.get_weights(), valid.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def fitted(model, x, **options):
    return model.fit(x, shuffle=False, verbose=0, **options).history


def net(shape, first=None, second=None, dtype=None, **options):
    """Two stages, of which the second learns when the first is done."""
    keras.utils.set_random_seed(0)
    first = first or {"learn_for": 12}
    second = second or {"learn_after": 12, "learn_for": 8}
    model = keras.Sequential(
        [
            keras.Input(shape),
            NeocognitronS(6, 3, 1.0, dtype=dtype, name="s1", **first),
            NeocognitronC(3, dtype=dtype),
            NeocognitronS(5, 2, 1.0, dtype=dtype, name="s2", **second),
        ]
    )
    model.compile("sgd", **options)
    return model


NOTHING_TRAINABLE = "ignore:.*does not have any trainable weights"


@pytest.mark.long
@pytest.mark.filterwarnings(NOTHING_TRAINABLE)
def test_stages_learn_in_turn_and_the_size_of_batches_does_not_matter():
    x = activities(24, 10, 10, 1)
    one, other = net(x.shape[1:]), net(x.shape[1:])
    fitted(one, x, batch_size=8)
    for start in (0, 4, 8, 12):  # the first alone, in parts
        other.train_on_batch(x[start : start + 4])
        learnt = other.layers[0].get_weights()
        if start < 12:
            assert not numpy(other.layers[2].inhibition).any()
    assert numpy(other.layers[2].inhibition).any()
    for a, b in zip(one.layers[0].get_weights()[:2], learnt[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    other.train_on_batch(x[16:24])  # of which four count
    np.testing.assert_allclose(
        numpy(one.layers[2].kernel), numpy(other.layers[2].kernel), rtol=1e-4, atol=1e-6
    )


@pytest.mark.long
@pytest.mark.filterwarnings(NOTHING_TRAINABLE)
def test_learning_goes_on_bit_for_bit_from_a_file(tmp_path):
    x = activities(24, 10, 10, 1)
    whole = net(x.shape[1:], second={"learn_after": 12})
    fitted(whole, x, batch_size=8)
    part = net(x.shape[1:], second={"learn_after": 12})
    fitted(part, x[:16], batch_size=8)
    part.save(tmp_path / "model.keras")
    resumed = keras.saving.load_model(tmp_path / "model.keras")
    fitted(resumed, x[16:], batch_size=8)
    for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    frozen = resumed.layers[2]
    frozen.trainable = False
    resumed.compile("sgd")
    fitted(resumed, x, batch_size=8)
    resumed.evaluate(x, verbose=0)
    for a, b in zip(whole.layers[2].get_weights(), frozen.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_in_mixed_precision_the_same_is_learnt():
    x = activities(4, 6, 6, 1)
    half, full = (NeocognitronS(3, 3, dtype=d) for d in ("mixed_bfloat16", "float32"))
    x = x.astype("float16").astype("float32")
    x = numpy(ops.cast(ops.cast(x, "bfloat16"), "float32"))
    full.build(x.shape)
    half.build(x.shape)
    half.set_weights(full.get_weights())
    assert half(x, training=True).dtype != full(x, training=True).dtype
    for a, b in zip(half.get_weights(), full.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.long
@pytest.mark.filterwarnings(NOTHING_TRAINABLE)
def test_the_logs_count_planes_that_learnt_nothing_and_a_warning_says_if_all():
    x = activities(8, 10, 10, 1)
    model = net(x.shape[1:], second={"learn_after": 100})
    history = fitted(model, x, batch_size=8, epochs=2)
    told = numpy(model.layers[0].inhibition) == 0
    assert history["s1_unlearnt_planes"][-1] == told.sum() < 6
    assert history["s2_unlearnt_planes"] == [5, 5]
    assert history["loss"] == [0, 0]
    model = net(x.shape[1:])
    with pytest.warns(UserWarning, match=r"s1 has learnt nothing: no cell of its 6"):
        fitted(model, 0 * x, batch_size=8)


def test_gradients_reach_what_comes_before_and_skip_empty_fields():
    x = activities(4, 6, 6, 1)
    x[0] = 0  # v = 0 has no derivative
    front = keras.layers.Conv2D(2, 1, activation="relu", kernel_initializer="ones")
    layer = NeocognitronS(3, 3, learning="gradient")
    model = keras.Sequential([keras.Input((6, 6, 1)), front, layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    before = model.get_weights()
    model.train_on_batch(x, np.zeros((4, 4, 4, 3)))
    for old, new in zip(before, model.get_weights(), strict=True):
        assert np.isfinite(new).all()
        assert (old != new).any()
    assert (numpy(layer.kernel) >= 0).all()


def c_cells(u, size, stride, alpha, gain, decay):
    d = gain * c_of(size, 1, decay) / c_of(size, 1, decay).max()
    d = d * decay ** min(np.hypot((size[0] - 1) / 2 - i, (size[1] - 1) / 2 - j)
                         for i in range(size[0]) for j in range(size[1]))  # fmt: skip
    out = []
    for (i, j), field in fields_of(u, size).items():
        if i % stride == 0 and j % stride == 0:
            x = (d * field).sum(axis=(0, 1))
            y = np.maximum((1 + x) / (1 + x.mean()) - 1, 0)
            out.append(y / (alpha + y))
    return np.array(out)


def test_c_cells_blur_saturate_and_are_inhibited_by_the_mean():
    x = activities(2, 5, 7, 3)
    y = numpy(NeocognitronC((3, 2), 2, saturation=0.3, gain=0.7, decay=0.8)(x))
    assert y.shape == (2, 2, 3, 3)
    for u, found in zip(x, y, strict=True):
        expected = c_cells(u, (3, 2), 2, 0.3, 0.7, 0.8)
        np.testing.assert_allclose(found.reshape(-1, 3), expected, rtol=1e-4, atol=1e-5)
    y = numpy(NeocognitronC(3, 2, pooling="max")(x))
    largest = [u[i : i + 3, j : j + 3].max((0, 1)) for u in x for i in (0, 2)
               for j in (0, 2, 4)]  # fmt: skip
    np.testing.assert_array_equal(y.reshape(-1, 3), largest)


@pytest.mark.parametrize(
    "make",
    [
        lambda: NeocognitronS(3, 3, column_size=3, padding="same"),
        lambda: NeocognitronC(3),
        lambda: NeocognitronC((3, 2), pooling="max"),
    ],
)
def test_planes_come_last_whatever_format_images_have(make, request):
    x, found = activities(4, 5, 6, 3), []
    for format_ in (None, "channels_first"):
        if format_:
            request.getfixturevalue(format_)
        keras.utils.set_random_seed(0)
        layer = make()
        found.append(numpy(layer(x, training=True)))
        assert layer.compute_output_shape(x.shape) == found[-1].shape
    np.testing.assert_array_equal(*found)


@pytest.mark.skipif(backend.name() != "tensorflow", reason="tf.distribute")
@pytest.mark.long
@pytest.mark.filterwarnings(NOTHING_TRAINABLE)
def test_replicas_learn_alike_and_leave_other_losses_alone():
    """They wait for one another within the call, between the losses of other layers."""
    x = activities(8, 6, 6, 1)

    def trained(strategy):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            dense = [
                keras.layers.Conv2D(2, 1, activation="relu", kernel_initializer="ones",
                                    activity_regularizer="l2")
                for _ in range(2)
            ]  # fmt: skip
            layer = NeocognitronS(3, 3, learn_for=24)
            model = keras.Sequential(
                [keras.Input((6, 6, 1)), dense[0], layer, dense[1]]
            )
            model.compile(keras.optimizers.SGD(0.01), "mse")
            model.optimizer.build(model.trainable_variables)
        replication.keras_private.build_all(model, x, np.zeros((8, 4, 4, 2)))
        replication._stepped(model, (x, np.zeros((8, 4, 4, 2))), strategy)
        return model

    one, two = map(trained, (distribute.strategy("none"), replication.two_replicas()))
    assert numpy(one.layers[1].inhibition).any()
    for a, b in zip(one.weights, two.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-6)
    for weight in two.layers[1].weights:
        values = replication.two_replicas().experimental_local_results(weight.value)
        np.testing.assert_array_equal(*[v.numpy() for v in values])


def test_bad_input_is_refused_with_what_to_do():
    x = activities(1, 6, 6, 1)
    with pytest.raises(
        ValueError, match=r"never negative. Scale images.*Received: -0."
    ):
        NeocognitronS(2, 3)(x - 0.5)
    with pytest.raises(ValueError, match=r"never negative. Scale images"):
        NeocognitronC(3)(x - 0.5)
    with pytest.raises(ValueError, match=r"kernel_size=\(7, 7\), planes of 6 x 6"):
        NeocognitronS(2, 7)(x)
    with pytest.raises(ValueError, match=r"pool_size=\(3, 8\), planes of 6 x 6"):
        NeocognitronC((3, 8))(x)
    with pytest.raises(ValueError, match=r"need a Reshape before it"):
        NeocognitronS(2, 3)(x[..., 0])
    with pytest.raises(ValueError, match="`convention` must be one of '1980', '1988'"):
        NeocognitronS(2, convention="1982")
    for q in (0, -1):
        with pytest.raises(ValueError, match=r"`reinforcement` must be .* than 0"):
            NeocognitronS(2, reinforcement=q)
    with pytest.raises(ValueError, match=r"`selectivity` must be .* than 0"):
        NeocognitronS(2, selectivity=0)
    with pytest.raises(ValueError, match="`planes` must be at least 1"):
        NeocognitronS(0)
    with pytest.raises(ValueError, match=r"`decay` must be .* at most 1"):
        NeocognitronC(decay=1.1)
    with pytest.raises(ValueError, match="an integer or two of them"):
        NeocognitronC((1, 2, 3))
    with pytest.raises(ValueError, match="an optimizer decides there"):
        NeocognitronS(2, learning="gradient", learn_for=3)
    layer = NeocognitronS(2, 3)
    layer.build((None, None, None, 1))
    with pytest.raises(ValueError, match="a known height and width"):
        layer._learn(keras.KerasTensor((4, None, None, 1)))


@pytest.mark.skipif(backend.name() != "jax", reason="elsewhere a compiled step raises")
@pytest.mark.filterwarnings(NOTHING_TRAINABLE)
def test_where_a_compiled_step_cannot_raise_bad_input_gives_nan():
    layer = NeocognitronS(2, 3)
    model = keras.Sequential([keras.Input((6, 6, 1)), layer])
    model.compile("sgd", "mse")
    x = activities(4, 6, 6, 1) - 0.5
    assert np.isnan(model.train_on_batch(x, np.zeros((4, 4, 4, 2)))[0])
