import keras
import numpy as np
import pytest

from keras_dlparts import backend
from keras_dlparts.backend import products
from keras_dlparts.config.adaptation import adapt
from keras_dlparts.data.batches import Batches
from keras_dlparts.layers import RadialBasis
from keras_dlparts.layers.kernels import centers as placing
from keras_dlparts.layers.kernels.radial_basis import KERNELS, WIDTHS

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")


def numpy_of(tensor):
    return keras.ops.convert_to_numpy(tensor)


def adapted(data=X, units=4, **options):
    layer = RadialBasis(units, **{"seed": 0} | options)
    layer.adapt(data)
    return layer


def distances(x, layer):
    """q of the formula, in float64, one difference at a time."""
    c = np.float64(numpy_of(layer.centers))
    s = np.exp(np.float64(numpy_of(layer.log_width)))
    return (((np.float64(x)[:, None] - c) / s) ** 2).sum(axis=-1)


@pytest.mark.long
def test_the_formula_of_each_kernel_and_width():
    for width in WIDTHS:
        layer = adapted(width=width)
        random = np.random.default_rng(1)
        layer.log_width.assign(random.normal(size=layer.log_width.shape))
        q = distances(X, layer)
        r = np.sqrt(q)
        with np.errstate(divide="ignore", invalid="ignore"):
            wanted = {
                "gaussian": np.exp(-(r**2) / 2),
                "laplacian": np.exp(-r),
                "inverse_multiquadric": 1 / np.sqrt(1 + r**2),
                "multiquadric": np.sqrt(1 + r**2),
                "thin_plate": np.where(r > 1e-2, r**2 * np.log(r), 0),
            }
        assert wanted.keys() == KERNELS.keys()
        for kernel, y in wanted.items():
            layer.kernel = kernel
            # A root turns an error of 1e-7 at distance 0 into one of 3e-4.
            loose = 2e-3 if kernel == "laplacian" else 2e-4
            np.testing.assert_allclose(numpy_of(layer(X)), y, atol=loose, rtol=1e-4)


def test_kernels_have_a_slope_at_their_center():
    for phi in KERNELS.values():
        assert np.isfinite(backend.slope(phi, np.zeros(1, "float32"))).all()


def _tf32(a):
    """Rounded to 11 binary digits, as the factors of a product in TF32 are."""
    mantissa, exponent = np.frexp(numpy_of(a))
    rounded = np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent)
    return keras.ops.convert_to_tensor(rounded.astype("float32"))


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "tf32"])
def test_data_far_from_the_origin_keeps_its_distances(policy, monkeypatch):
    """The squares are 1e8, their differences about 6: one in 1e7 is lost to none."""
    if policy == "tf32":
        matmul = products.ops.matmul
        monkeypatch.setattr(products, "name", lambda: "tensorflow")
        monkeypatch.setattr(products, "accelerators", lambda: ["GPU"])
        monkeypatch.setattr(
            products.ops, "matmul", lambda a, b: matmul(_tf32(a), _tf32(b))
        )
    x = np.float32(X + np.array([1e4, -1e4, 3e3]))
    for width in WIDTHS:
        layer = adapted(
            x,
            width=width,
            initial_width=2.0,
            kernel="multiquadric",
            dtype="float32" if policy == "tf32" else policy,
        )
        y = numpy_of(keras.ops.cast(layer(x), "float32"))
        wanted = np.sqrt(1 + distances(x, layer))
        rtol = 1e-2 if policy == "mixed_bfloat16" else 2e-5  # bfloat16 has 8 digits
        np.testing.assert_allclose(y, wanted, rtol=rtol)
        assert numpy_of(layer(layer.centers)).min() == 1  # no square below 0


def test_centers_are_different_rows_of_the_data():
    few = np.repeat(X[:6], 9, axis=0)
    found = numpy_of(adapted(few, units=6).centers)
    np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(X[:6], axis=0))
    same = numpy_of(adapted([few[:20], few[20:]], units=6).centers)
    np.testing.assert_array_equal(same, found)  # in batches, with the same seed
    assert (numpy_of(adapted(few, units=6, seed=1).centers) != found).any()
    keras.utils.set_random_seed(3)  # without a seed the global one decides
    first = numpy_of(adapted(seed=None).centers)
    keras.utils.set_random_seed(3)
    np.testing.assert_array_equal(numpy_of(adapted(seed=None).centers), first)


def test_k_means_finds_clusters():
    pytest.importorskip("sklearn")
    middles = np.array([[0, 0, 0], [100, 0, 0], [0, 100, 0], [0, 0, 100]]) + 1e5
    data = (middles[:, None] + X[:10]).reshape(-1, 3)
    assert len(np.unique(placing.chosen(data, 4, 0) > 1e5 + 50, axis=0)) < 4
    found = placing.k_means(data, 8, 0)
    nearest = np.abs(found[:, None] - middles).max(axis=-1).argmin(axis=1)
    assert len(set(nearest)) == 4
    for i, middle in enumerate(found):  # a mean of its own rows
        q = ((data[:, None] - found) ** 2).sum(axis=-1)
        mine = data[q.argmin(axis=1) == i]
        np.testing.assert_allclose(mine.mean(axis=0), middle, atol=1e-2)


def test_widths_are_the_mean_distance_to_the_two_nearest():
    c = np.array([[0.0, 0], [3, 0], [0, 4], [30, 0]])
    want = np.array([3.5, 4, 4.5, (27 + 30) / 2])
    np.testing.assert_allclose(placing.widths(c, c), want)
    many = np.random.default_rng(0).normal(size=(600, 2))
    q = np.sqrt(((many[:, None] - many) ** 2).sum(axis=-1))
    np.testing.assert_allclose(
        placing.widths(many, many), np.sort(q, axis=1)[:, 1:3].mean(axis=1), rtol=1e-6
    )
    np.testing.assert_allclose(placing.widths(c[:2], c), [3, 3])
    np.testing.assert_allclose(placing.widths(c[:1], c[:3]), np.sqrt(25 / 3))
    for width, wanted in (("shared", want.mean()), ("unit", np.sort(want)[:, None])):
        layer = adapted(c, width=width)
        got = np.sort(np.exp(numpy_of(layer.log_width)), axis=0)
        np.testing.assert_allclose(got, wanted * np.ones_like(got), rtol=1e-5)
    given = adapted(c, initial_width=2.0)
    np.testing.assert_allclose(np.exp(numpy_of(given.log_width)), 2, rtol=1e-6)


def test_only_what_is_learnt_is_trainable():
    layer = adapted(learn_centers=False)
    assert [w.name for w in layer.trainable_weights] == ["log_width"]
    layer = adapted(learn_width=False)
    assert [w.name for w in layer.trainable_weights] == ["centers"]


def test_it_is_refused_before_it_has_adapted():
    model = keras.Sequential([keras.Input((3,)), RadialBasis(4)])
    assert model.output_shape == (None, 4)  # a model is built before there is data
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"before `adapt`. Call `adapt\(data\)`"):
        model(X)
    with pytest.raises(ValueError, match=r"before `adapt`. Call `adapt\(data\)`"):
        model.fit(X, np.zeros((40, 4)), verbose=0)
    model.layers[0].adapt(X)
    assert np.isfinite(model.predict(X, verbose=0)).all()


def test_a_copy_with_weights_needs_no_data(tmp_path):
    model = keras.Sequential([keras.Input((3,)), adapted(width="unit")])
    wanted = numpy_of(model(X))
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_allclose(copy.predict(X, verbose=0), wanted, atol=1e-6)
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.compile("sgd", "mse")
    copy.fit(X, wanted, verbose=0)  # without a call before
    np.testing.assert_allclose(copy.predict(X, verbose=0), wanted, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.compile("sgd", "mse")
    loaded.fit(X, wanted, verbose=0)  # it may train at once
    np.testing.assert_allclose(numpy_of(loaded(X)), wanted, atol=1e-6)


def test_what_was_saved_without_data_still_waits_for_it(tmp_path):
    model = keras.Sequential([keras.Input((3,)), RadialBasis(4)])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    loaded.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"before `adapt`. Call `adapt\(data\)`"):
        loaded.fit(X, np.zeros((40, 4)), verbose=0)
    loaded.layers[0].adapt(X)
    assert np.isfinite(loaded.predict(X, verbose=0)).all()


def test_a_config_lets_it_adapt():
    layer = RadialBasis(40)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Rescaling(2.0), layer])
    adapt(model, Batches(X))
    found = np.sort(numpy_of(layer.centers), axis=0)
    np.testing.assert_allclose(found, np.sort(2 * X, axis=0))
    given = RadialBasis(4, centers=keras.initializers.Zeros())
    adapt(keras.Sequential([keras.Input((3,)), given]), Batches(X))
    assert not numpy_of(given.centers).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"units": 0}, "`units` must be at least 1"),
        ({"kernel": "linear"}, "`kernel` must be one of 'gaussian'"),
        ({"width": "all"}, "`width` must be one of 'shared'"),
        ({"initial_width": 0}, "`initial_width` must be a finite number, greater than"),
        ({"centers": "rows"}, "`centers` must be 'data', 'kmeans' or an initializer"),
    ],
)
def test_bad_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        RadialBasis(**{"units": 3} | options)


def test_bad_data():
    rows = np.repeat(X[:3], 2, axis=0)
    with pytest.raises(ValueError, match="4 units, 6 rows, 3 of them different"):
        adapted(rows)
    adapted(rows, units=3)
    with pytest.raises(ValueError, match=r"at least as many .* 0 rows"):
        adapted(X[:0])
    with pytest.raises(ValueError, match="must be finite"):
        adapted(np.where(X > 2, np.nan, X))
    with pytest.raises(ValueError, match=r"must have 3 features\. Received: 2"):
        adapted().adapt(X[:, :2])
    with pytest.raises(ValueError, match="Centers must differ"):
        placing.widths(np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match="known number of features"):
        RadialBasis(3).build((None, None))
