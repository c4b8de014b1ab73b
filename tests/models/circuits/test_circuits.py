"""The circuits are exact where they say, as large as they say, and refuse the rest."""

import keras
import numpy as np
import pytest

import keras_dlparts
from keras_dlparts.models import circuits
from keras_dlparts.models.circuits import wiring
from keras_dlparts.models.circuits.alternating import evaluated
from keras_dlparts.models.circuits.boolean import rows_of


def given(model, x):
    x = keras.ops.convert_to_tensor(np.asarray(x), model.input_dtype)
    return keras.ops.convert_to_numpy(model(x))


def size(model):
    found = circuits.size(model)
    return found.units, found.depth


def test_every_boolean_function_of_three_bits_is_exact_in_few_units():
    x = rows_of(3)
    for number in (0, 1, 0b10010110, 0b11101000, 254, 255):
        table = number >> np.arange(8) & 1
        model = circuits.boolean(table)
        np.testing.assert_array_equal(given(model, x)[:, 0], table)
        assert size(model) == (min(max(table.sum(), 1), max(8 - table.sum(), 1)), 1)
    majority = circuits.boolean(lambda a, b, c: a + b + c > 1, inputs=3)
    np.testing.assert_array_equal(given(majority, x)[:, 0], x.sum(axis=1) > 1)


def test_parity_is_a_tree():
    for d, carried in ((2, 0), (5, 2), (8, 0), (11, 2)):
        model, x = circuits.parity(d), rows_of(d)
        np.testing.assert_array_equal(given(model, x)[:, 0], x.sum(axis=1) % 2)
        assert size(model) == (2 * (d - 1) + carried, int(np.ceil(np.log2(d))))
    flat = circuits.boolean(rows_of(8).sum(axis=1) % 2)
    assert circuits.size(flat).units == 2**7


def test_alternating_is_or_of_and_of_or():
    model, x = circuits.alternating(3, 2), rows_of(16)[::7]
    y = np.zeros(len(x), bool)
    for half in np.split(x, 2, axis=1):  # the top is an OR of two
        y |= half.reshape(-1, 4, 2).any(axis=-1).all(axis=-1)
    np.testing.assert_array_equal(given(model, x)[:, 0], y)
    assert 0 < y.mean() < 1
    assert (evaluated(x, 3, 2) == y).all()
    assert {*np.unique(model.layers[0].kernel.numpy())} == {0, 1}
    found = circuits.size(model)
    assert (found.units + 1, found.depth + 1) == (8 + 2 + 1, 3)


def test_the_product_equals_its_expanded_form():
    random = np.random.default_rng(0)
    a, x = random.normal(size=(3, 4)), random.normal(size=(50, 4))
    expected = np.prod(x @ a.T, axis=1)
    for expanded, elements in ((False, (3, 1, 12)), (True, (64, 1, 64))):
        model = circuits.product_of_sums(a, expanded)
        np.testing.assert_allclose(given(model, x)[:, 0], expected, rtol=1e-4)
        found = circuits.size(model)
        assert (found.units, found.depth, found.weights) == elements


def tent(x, times):
    for _ in range(times):
        x = np.where(x < 0.5, 2 * x, 2 - 2 * x)
    return x


def test_a_sawtooth_is_exact_up_to_the_last_digit_of_float32():
    x = np.random.default_rng(0).random(2000, "float32")
    x[:1000] **= 3  # small ones have digits far behind the point
    for depth in (1, 5, 24):
        model = circuits.sawtooth(depth)
        expected = tent(x.astype("float64"), depth)
        np.testing.assert_array_equal(given(model, x[:, None])[:, 0], expected)
        assert size(model) == (2 * depth, depth)
    ends = given(circuits.sawtooth(4), np.arange(17)[:, None] / 16)[:, 0]
    assert (ends == np.arange(17) % 2).all()  # 8 teeth
    with pytest.raises(ValueError, match=r"at most 24.*depth=25; on Tensor"):
        circuits.sawtooth(25)


@pytest.mark.long
def test_more_digits_need_float64():
    """Keras multiplies in it on TensorFlow only; elsewhere that is refused."""
    if keras.backend.backend() != "tensorflow":
        with pytest.raises(ValueError, match="'float32' with this backend"):
            circuits.bits(30, "float64")
        return
    with pytest.raises(ValueError, match="at most 53, the binary digits"):
        circuits.bits(54, "float64")
    number = int("10" * 13, 2) + 1
    found = given(circuits.bits(26, "float64"), [[number / 2**26]])[0]
    assert "".join(str(int(bit)) for bit in found) == f"{number:026b}"


def test_a_piecewise_constant_is_exact_outside_gaps():
    random = np.random.default_rng(0)
    edges = np.sort(random.random(20))
    values, gap = random.normal(size=21), np.diff(edges).min() / 2
    model = circuits.piecewise_constant(edges, values, gap)
    x = random.random(5000, "float32")
    after = np.searchsorted(edges, x.astype("float64"), side="right")
    inside = (edges - gap < x[:, None]) & (x[:, None] < edges)
    clear = ~inside.any(axis=1)
    y = given(model, x[:, None])[:, 0]
    np.testing.assert_allclose(y[clear], values[after[clear]], atol=1e-5)
    assert 0.5 < clear.mean() < 1
    assert np.abs(y - values[after])[~clear].max() > 0.01
    at_edges = given(model, edges[:, None])[:, 0]
    np.testing.assert_allclose(at_edges, values[1:], atol=1e-5)
    assert size(model) == (20, 1)


@pytest.mark.long
@pytest.mark.parametrize("count", [3, pytest.param(24, marks=pytest.mark.long)])
def test_bits_and_their_sums_are_exact(count):
    random = np.random.default_rng(0)
    rows = random.integers(0, 2, (300, count))
    x = rows @ 0.5 ** np.arange(1, count + 1)[:, None]
    model = circuits.bits(count)
    np.testing.assert_array_equal(given(model, x), rows)
    asked = random.integers(0, count + 1, 300)
    sums = [row[:n].sum() for row, n in zip(rows, asked, strict=True)]
    adding = circuits.bit_sum(count)
    found = given(adding, np.column_stack([x, asked]))[:, 0]
    np.testing.assert_array_equal(found, sums)
    assert max(layer.units for layer in adding.layers) == 5
    assert circuits.size(adding).depth == 2 * count
    assert circuits.size(model).depth == 2 * count


def wave(x):
    return np.sin(5 * x.sum(axis=1)) + np.abs(x[:, 0] - 0.3)


@pytest.mark.parametrize(
    ("inputs", "width", "depth"), [(1, 4, 4), (1, 1, 3), (2, 3, 1), (2, 4, 4)]
)
def test_an_approximation_keeps_its_bound_everywhere(inputs, width, depth):
    model = circuits.approximate(wave, inputs, width, depth)
    x = np.random.default_rng(0).random((3000, inputs)).astype("float32")
    x[0], x[1] = 0, 1
    cells = (width * depth) ** 2 if inputs == 1 else width * depth
    if (inputs, depth) == (2, 1):
        cells = width
    # The largest slope along any direction, times the distances of the bound.
    slope = 5 * inputs**0.5 + 1
    bound = slope * (inputs**0.5 / 2 / cells + 1 / cells)
    assert np.abs(given(model, x)[:, 0] - wave(x)).max() <= bound
    assert circuits.size(model).depth == 5 * depth + 2
    widest = max(layer.units for layer in model.layers)
    assert widest <= max(4 * width + 3, inputs + 1)


def test_an_approximation_takes_constants_and_refuses_too_much():
    constant = circuits.approximate(lambda x: 0 * x[:, 0] - 3, width=2, depth=3)
    assert (given(constant, [[0.0], [0.7], [1.0]]) == -3).all()
    with pytest.raises(ValueError, match=r"at most 24: .* make it wider"):
        circuits.approximate(wave, depth=25)
    with pytest.raises(ValueError, match=r"cells.*give less of one"):
        circuits.approximate(wave, width=1000, depth=20)
    with pytest.raises(ValueError, match="one finite number for each point"):
        circuits.approximate(lambda x: x[:, 0] + np.inf, width=1, depth=1)


def test_they_are_ordinary_models(tmp_path):
    """Saved, loaded, the floor found by its name, and trained on."""
    model = circuits.approximate(wave, 1, 2, 2)
    model.save(tmp_path / "model.keras")
    loaded = keras_dlparts.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((20, 1))
    np.testing.assert_array_equal(given(loaded, x), given(model, x))
    product = circuits.product_of_sums(np.ones((2, 3)), expanded=True)
    product.save(tmp_path / "product.keras")
    loaded = keras_dlparts.load_model(tmp_path / "product.keras")
    assert given(loaded, [[1.0, 2.0, 3.0]]) == 36
    tree, x = circuits.parity(4), rows_of(4).astype("float32")
    tree.compile("sgd", "mse")
    weights = tree.layers[0].get_weights()
    tree.fit(x, 1 - x.sum(axis=1) % 2, verbose=0)
    assert (tree.layers[0].get_weights()[0] != weights[0]).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: circuits.boolean([0, 1, 2, 1]), "bits, 0 or 1. Received: .2"),
        (lambda: circuits.boolean([0, 1, 1]), r"power of 2. Received: shape \(3,\)"),
        (lambda: circuits.boolean(lambda *x: 1), "how many inputs"),
        (lambda: circuits.boolean([0, 1], inputs=2), "inputs=2 and 2 values"),
        (lambda: circuits.boolean(lambda *x: 1, 17), "at most 16.*compose"),
        (lambda: circuits.parity(1), "`inputs` must be at least 2"),
        (lambda: circuits.alternating(1, 2), "`levels` must be at least 2"),
        (lambda: circuits.alternating(8, 2), "at most 4096 inputs.*so 16384"),
        (lambda: circuits.product_of_sums([1, 2]), "must be a matrix"),
        (lambda: circuits.product_of_sums(np.ones((9, 9)), True), "65536 terms"),
        (lambda: circuits.bits(0), "`count` must be at least 1"),
        (lambda: circuits.bits(25), "at most 24, the binary digits"),
        (lambda: circuits.bit_sum(25), "at most 24, the binary digits"),
        (lambda: circuits.bits(3, "bfloat16"), "others hold too few digits"),
        (lambda: circuits.piecewise_constant([1], [1]), "one number more"),
        (lambda: circuits.piecewise_constant([1, 1], [1, 2, 3]), "ascend by more"),
        (lambda: circuits.piecewise_constant([1e4], [1, 2]), "eight times the dist"),
        (lambda: circuits.piecewise_constant([1], [1, 2], 0), "greater than 0|> 0"),
    ],
)
def test_what_cannot_be_built_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_size_is_of_built_models_with_an_order():
    with pytest.raises(TypeError, match="must be a built Sequential or Functional"):
        circuits.size(keras.Sequential([keras.layers.Dense(2)]))


def test_a_device_that_rounds_products_is_noticed(monkeypatch):
    """As TF32 does: what goes into a product is rounded to 11 digits."""

    def shortened(x, y):
        x = keras.ops.convert_to_numpy(x)
        scale = 2.0 ** np.floor(np.log2(np.abs(x) + 1e-9) - 10)
        return np.round(x / scale) * scale @ keras.ops.convert_to_numpy(y)

    monkeypatch.setattr(keras.ops, "matmul", shortened)
    for make in (circuits.sawtooth, circuits.bits, circuits.bit_sum):
        with pytest.raises(RuntimeError, match="device shortens them"):
            make(3)
    with pytest.raises(RuntimeError, match="device shortens them"):
        circuits.approximate(wave)
    with pytest.raises(RuntimeError, match="device shortens them"):
        circuits.piecewise_constant([1], [1, 2])


def test_forms_of_different_layers_do_not_mix():
    net = wiring.Wiring(1)
    (x,) = net.units
    (y,) = net.layer("relu", [x])
    with pytest.raises(ValueError, match="units of one layer"):
        x + y
    with pytest.raises(ValueError, match="layer before it"):
        net.layer("relu", [x])
