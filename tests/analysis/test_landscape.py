"""The loss landscape against hand computations; it leaves the model alone."""

import functools

import keras
import numpy as np
import pytest

from keras_dlparts.analysis import Landscape, filter_normalized, loss_landscape
from keras_dlparts.analysis.landscape import draw_directions, filter_axes
from keras_dlparts.layers import WeightNormalization
from keras_dlparts.support import progress

RANDOM = np.random.default_rng(0)


def dense():
    """L = mean (x w - y)^2, without bias."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, use_bias=False)])
    keras.utils.set_random_seed(0)
    model.set_weights([RANDOM.normal(size=(3, 2))])
    model.compile(loss="mse", metrics=["mae"])
    x, y = RANDOM.normal(size=(10, 3)), RANDOM.normal(size=(10, 2))
    return model, x.astype("float32"), y.astype("float32")


@pytest.mark.parametrize("batch_size", [4, 100])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_values_are_the_loss_at_each_place(dimensions, batch_size):
    """Batches of 4, 4 and 2: each sample counts once."""
    model, x, y = dense()
    w = model.get_weights()[0]
    directions = [[RANDOM.normal(size=(3, 2))] for _ in range(dimensions)]
    found = loss_landscape(
        model,
        (x, y),
        dimensions,
        points=3,
        span=0.5,
        directions=directions,
        batch_size=batch_size,
        verbose=False,
    )
    np.testing.assert_array_equal(found.grid, [-0.5, 0, 0.5])
    assert found.loss.shape == (3,) * dimensions
    for place in np.ndindex(found.loss.shape):
        moved = w + sum(
            found.grid[i] * d[0] for i, d in zip(place, directions, strict=True)
        )
        error = x @ moved - y
        assert found.loss[place] == pytest.approx((error**2).mean(), rel=1e-4)
        assert found.values["mae"][place] == pytest.approx(abs(error).mean(), rel=1e-4)


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 2

    def __getitem__(self, i):
        return self.x[5 * i : 5 * i + 5], self.y[5 * i : 5 * i + 5]


def test_data_comes_in_any_form():
    model, x, y = dense()
    forms = (x, y), Batches(x, y), [(x[:5], y[:5]), (x[5:], y[5:])]
    weighted = (x, y, np.r_[np.ones(5), np.zeros(5)].astype("float32"))
    found = [
        loss_landscape(model, data, 1, 3, verbose=False).loss
        for data in (*forms, weighted)
    ]
    for other in found[1:3]:
        np.testing.assert_allclose(other, found[0], rtol=1e-5)
    assert not np.allclose(found[3], found[0], rtol=1e-2)


def kernels():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.DepthwiseConv2D(2, depth_multiplier=2),
            keras.layers.SeparableConv2D(5, 2),
            keras.layers.Conv2DTranspose(6, 2),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    for variable in model.trainable_variables:
        variable.assign(RANDOM.normal(size=variable.shape) * 7)
    return model


def test_each_filter_of_a_direction_is_as_long_as_the_weights():
    """Written out layer by layer: which slices make one output."""
    model = kernels()
    (direction,) = draw_directions(model, 1, "filter", seed=3)
    slices = {
        (3, 3, 3, 4): lambda k: [k[..., o] for o in range(4)],
        (2, 2, 4, 2): lambda k: [k[:, :, i, m] for i in range(4) for m in range(2)],
        (2, 2, 8, 1): lambda k: [k[:, :, i, 0] for i in range(8)],
        (1, 1, 8, 5): lambda k: [k[..., o] for o in range(5)],
        (2, 2, 6, 5): lambda k: [k[:, :, o, :] for o in range(6)],
        (150, 2): lambda k: [k[:, o] for o in range(2)],
    }
    seen = 0
    for variable, d in zip(model.trainable_variables, direction, strict=True):
        if len(variable.shape) == 1:
            assert not d.any()
            continue
        if tuple(variable.shape) not in slices:
            assert variable.shape[-1] == 2  # the flat size of this toy net
        parts = slices.get(tuple(variable.shape), slices[150, 2])
        for ours, theirs in zip(parts(d), parts(variable.numpy()), strict=True):
            assert np.linalg.norm(ours) == pytest.approx(
                np.linalg.norm(theirs), rel=1e-4
            )
            seen += 1
    assert seen == 4 + 8 + 8 + 5 + 6 + 2


def test_each_feature_of_each_head_of_an_attention_layer_is_a_filter():
    """One head is a hundred times as large as the other, and so is its direction."""
    inputs = keras.Input((4, 6))
    attention = keras.layers.MultiHeadAttention(2, 3)
    model = keras.Model(inputs, attention(inputs, inputs))
    for variable in model.trainable_variables:
        drawn = RANDOM.normal(size=variable.shape)
        if variable.shape == (6, 2, 3):
            drawn *= np.array([1.0, 100.0])[:, None]
        variable.assign(drawn)
    (direction,) = draw_directions(model, 1, "filter", seed=0)
    kernels = {(6, 2, 3): (0,), (2, 3, 6): (0, 1)}
    seen = 0
    for variable, d in zip(model.trainable_variables, direction, strict=True):
        axes = kernels.get(tuple(variable.shape))
        if axes is None:
            assert variable.name == "bias"
            assert not d.any()
            continue
        want = np.sqrt((variable.numpy() ** 2).sum(axis=axes))
        np.testing.assert_allclose(np.sqrt((d**2).sum(axis=axes)), want, rtol=1e-4)
        seen += 1
    assert seen == 4


def einsum():
    return keras.layers.EinsumDense("ab,bcd->acd", (2, 2), bias_axes="cd")


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (einsum, (3,), {"kernel": (0,), "bias": None}),
        (
            lambda: WeightNormalization(einsum()),
            (3,),
            {"kernel": (0,), "bias": None, "g_kernel": None},
        ),
        (
            lambda: keras.layers.GRU(2),
            (4, 3),
            {"kernel": (0,), "recurrent_kernel": (0,), "bias": None},
        ),
        (
            lambda: keras.layers.LayerNormalization(axis=(1, 2)),
            (4, 3),
            {"gamma": None, "beta": None},
        ),
    ],
    ids=["einsum", "normalised weights", "gru", "layer normalisation"],
)
def test_biases_and_gains_of_two_dimensions_stay(layer, shape, axes):
    model = keras.Sequential([keras.Input(shape), layer()])
    names = [variable.name for variable in model.trainable_variables]
    assert dict(zip(names, filter_axes(model), strict=True)) == axes
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    (direction,) = draw_directions(model, 1, "filter", seed=0)
    moved = {name for name, d in zip(names, direction, strict=True) if d.any()}
    assert moved == {name for name in names if axes[name] is not None}


def test_rows_of_an_embedding_are_its_filters():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Embedding(5, 3)])
    assert filter_axes(model) == [(1,)]


def test_filter_normalisation_undoes_the_scale_of_weights():
    """A net with w 100 times as large behind a normalisation is the same net, and has
    the same landscape; without filter normalisation it looks flatter."""
    x = RANDOM.normal(size=(32, 4)).astype("float32")
    y = RANDOM.normal(size=(32, 1)).astype("float32")
    spread = {}
    for scale in (1, 100):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((4,)),
                keras.layers.Dense(6, use_bias=False),
                keras.layers.LayerNormalization(
                    epsilon=1e-9, center=False, scale=False
                ),
                keras.layers.Dense(1, trainable=False),
            ]
        )
        model.layers[0].kernel.assign(scale * model.layers[0].kernel.numpy())
        model.compile(loss="mse")
        for normalize in ("filter", None):
            found = loss_landscape(
                model, (x, y), 1, 5, normalize=normalize, verbose=False
            )
            spread[scale, normalize] = found.loss
    np.testing.assert_allclose(
        spread[100, "filter"], spread[1, "filter"], rtol=1e-3, atol=1e-4
    )
    assert np.ptp(spread[100, None]) < 0.1 * np.ptp(spread[1, None])


def test_a_filter_of_zeros_stays_at_zero():
    weight = np.array([[0.0, 3.0], [0.0, 4.0]])
    found = filter_normalized(np.ones((2, 2)), weight, (0,))
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), [0, 5])
    assert np.isfinite(filter_normalized(np.zeros((2, 2)), weight, (0,))).all()


def test_seeds_repeat_and_directions_differ():
    model, x, y = dense()
    one, same, other = (
        loss_landscape(model, (x, y), 2, 3, seed=seed, verbose=False).loss
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)
    assert not np.allclose(one, one.T)


def test_saved_and_loaded(tmp_path):
    model, x, y = dense()
    found = loss_landscape(model, (x, y), 2, 3, verbose=False)
    found.save(tmp_path / "valley.npz")
    loaded = Landscape.load(tmp_path / "valley.npz")
    np.testing.assert_array_equal(loaded.grid, found.grid)
    assert loaded.values.keys() == found.values.keys()
    np.testing.assert_array_equal(loaded.loss, found.loss)


@pytest.mark.parametrize("shape", [(5,), (5, 5)])
@pytest.mark.parametrize("kind", ["positive", "negative", "flat", "not a number"])
def test_pictures_of_any_values(shape, kind, tmp_path):
    pytest.importorskip("matplotlib")
    values = RANDOM.uniform(1, 100, shape)
    values = {"negative": -values, "flat": np.ones(shape)}.get(kind, values)
    if kind == "not a number":
        values[0] = np.nan
        values[-1] = np.inf
    figure = Landscape(np.linspace(-1, 1, 5), {"loss": values}).figure()
    figure.savefig(tmp_path / "valley.png")
    assert (tmp_path / "valley.png").stat().st_size > 1000


def test_the_first_direction_is_drawn_to_the_right():
    pytest.importorskip("matplotlib")
    grid = np.linspace(-1, 1, 5)
    values = np.broadcast_to(grid[:, None], (5, 5))  # grows along the first one
    figure = Landscape(grid, {"loss": values}).figure()
    lowest = figure.axes[0].collections[0].get_paths()[0].vertices
    assert lowest[:, 0].max() < 0
    assert lowest[:, 1].max() == 1


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("verbose", [False, True])
def test_progress_is_shown_in_a_terminal(terminal, verbose, capfd, monkeypatch):
    # A bar is drawn in a terminal that can draw one again, and not under CI.
    for name in ("CI", "FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    # A console looks once whether it writes to a terminal, and there is one a process.
    monkeypatch.setattr(
        progress, "console", functools.cache(progress.console.__wrapped__)
    )
    model, x, y = dense()
    loss_landscape(model, (x, y), 1, 3, verbose=verbose)
    seen = capfd.readouterr()
    assert ("loss landscape" in seen.err) == (terminal and verbose)
    assert seen.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dimensions": 3}, "`dimensions` must be 1 or 2"),
        ({"points": 1}, "`points` must be an integer, at least 2"),
        ({"points": 3.0}, "`points` must be an integer, at least 2"),
        ({"span": 0}, "`span` must be > 0"),
        ({"normalize": "layer"}, "`normalize` must be 'filter' or None"),
        ({"directions": [[np.ones((3, 2))]]}, "`directions` must be 2 lists"),
        ({"directions": [[np.ones((2, 3))]] * 2}, "`directions` must be 2 lists"),
        ({"data": np.ones((3, 3))}, "`data` must be"),
        ({"data": []}, "`data` must be"),
    ],
)
def test_bad_arguments(arguments, message):
    model, x, y = dense()
    with pytest.raises(ValueError, match=f"{message}.*Received"):
        loss_landscape(model, **{"data": (x, y), "verbose": False, **arguments})


def test_a_model_that_is_not_compiled():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(ValueError, match="must be compiled"):
        loss_landscape(model, (np.ones((2, 3)), np.ones((2, 2))))
