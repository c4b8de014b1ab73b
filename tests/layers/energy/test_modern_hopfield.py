"""ModernHopfield against its formula in numpy. The contract: tests/contracts."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers import ModernHopfield


def arrays(*shapes, seed=0):
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype("float32") for shape in shapes]


def updates(xi, x, beta, steps):
    """xi (states, d) among the rows of x, each by itself."""
    for _ in range(steps):
        scores = np.exp(beta * xi @ x.T)
        xi = scores / scores.sum(1, keepdims=True) @ x
    return xi


def energy(xi, x, beta):
    lse = np.log(np.exp(beta * xi @ x.T).sum(1)) / beta
    longest = (x**2).sum(1).max()
    return -lse + (xi**2).sum(1) / 2 + np.log(len(x)) / beta + longest / 2


def numpy(x):
    return ops.convert_to_numpy(ops.stop_gradient(x))


@pytest.mark.parametrize("steps", [1, 3])
def test_states_and_energy_are_those_of_the_formula(steps):
    xi, x = arrays((2, 3, 4), (2, 5, 4))
    layer = ModernHopfield(beta=0.7, steps=steps)
    for b in range(2):
        np.testing.assert_allclose(
            numpy(layer([xi, x]))[b], updates(xi[b], x[b], 0.7, steps), rtol=1e-5
        )
        np.testing.assert_allclose(
            numpy(layer.energy([xi, x]))[b], energy(xi[b], x[b], 0.7), rtol=1e-5
        )
        others = x[b] @ x[b].T - np.diag(np.full(5, np.inf))
        np.testing.assert_allclose(
            numpy(layer.separation([xi, x]))[b],
            (x[b] ** 2).sum(1) - others.max(1),
            rtol=1e-4,
            atol=1e-5,
        )


@pytest.mark.parametrize("masked", [False, True])
def test_one_update_is_the_attention_of_keras(masked):
    query, value, key = arrays((2, 3, 4), (2, 5, 6), (2, 5, 4))
    masks = None
    if masked:
        masks = [
            np.array([[1, 1, 0], [1, 0, 1]], bool),
            np.arange(10).reshape(2, 5) % 3 > 0,
        ]
    ours, weights = ModernHopfield(beta=1.0)(
        [query, value, key], mask=masks, return_attention_scores=True
    )
    theirs, expected = keras.layers.Attention()(
        [query, value, key], mask=masks, return_attention_scores=True
    )
    np.testing.assert_allclose(numpy(ours), numpy(theirs), atol=1e-5)
    np.testing.assert_allclose(numpy(weights), numpy(expected), atol=1e-5)


def test_the_default_beta_divides_the_scores_by_the_root_of_their_width():
    query, value, key = arrays((2, 3, 4), (2, 5, 6), (2, 5, 4))
    y = numpy(ModernHopfield()([query, value, key]))
    attention = keras.layers.Attention()
    scaled = numpy(attention([query / 2, value, key]))  # 2 is the root of 4
    np.testing.assert_allclose(y, scaled, atol=1e-5)
    assert np.abs(y - numpy(attention([query, value, key]))).max() > 1e-2


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({}, [(3, 4), (5, 4)]),
        ({"key_dim": 3, "value_dim": 2}, [(3, 4), (5, 6), (5, 7)]),
        ({"queries": 2}, [(5, 4)]),
        ({"queries": 2, "dtype": "mixed_bfloat16"}, [(5, 6), (5, 4)]),
        ({"patterns": 6, "dtype": "mixed_bfloat16"}, [(3, 4)]),
    ],
)
def test_a_functional_model_gives_the_weights_too(options, shapes):
    layer, inputs = ModernHopfield(**options), [*map(keras.Input, shapes)]
    given = inputs if len(inputs) > 1 else inputs[0]
    outputs = layer(given, return_attention_scores=True)
    found = keras.Model(inputs, [*outputs])(arrays(*[(2, *each) for each in shapes]))
    for symbolic, real in zip(outputs, found, strict=True):
        assert tuple(real.shape) == (2, *symbolic.shape[1:])
        assert symbolic.dtype == keras.backend.standardize_dtype(real.dtype)
    np.testing.assert_allclose(numpy(ops.sum(found[1], axis=-1)), 1, rtol=1e-2)
    assert layer(given).shape == outputs[0].shape


@pytest.mark.parametrize("steps", [1, 2, None])
def test_large_patterns_are_told_apart_in_half_precision(steps):
    """Their products, 102400, are beyond float16."""
    query = np.full((1, 2, 64), 40.0, "float32")
    value = np.concatenate([query[:, :1], -query[:, :1]], axis=1)
    layer = ModernHopfield(beta=0.01, steps=steps, dtype="mixed_float16")
    np.testing.assert_array_equal(numpy(layer([query, value])), query)
    np.testing.assert_array_equal(numpy(layer.separation([query, value])), 204800)
    energies = numpy(layer.energy([query, value]))
    assert energies.dtype == "float32"
    np.testing.assert_allclose(energies, np.log(2) / 0.01, rtol=1e-3)


@pytest.mark.skipif(
    backend.name() != "tensorflow",
    reason="JAX has no float64, and Keras' matmul on PyTorch gives float32",
)
def test_float64_has_all_its_digits():
    xi, x = (a.astype("float64") for a in arrays((1, 3, 4), (1, 5, 4)))
    layer = ModernHopfield(beta=0.7, steps=3, dtype="float64")
    y, expected = numpy(layer([xi, x]))[0], updates(xi[0], x[0], 0.7, 3)
    np.testing.assert_allclose(y, expected, rtol=1e-12)
    energies, expected = numpy(layer.energy([xi, x]))[0], energy(xi[0], x[0], 0.7)
    np.testing.assert_allclose(energies, expected, rtol=1e-12)


def test_one_stored_value_serves_a_batch_of_queries():
    query, value = arrays((7, 3, 4), (1, 5, 4))
    layer = ModernHopfield()
    assert layer([query, value]).shape == layer.compute_output_shape(
        [query.shape, value.shape]
    )


@pytest.mark.parametrize(
    ("options", "shapes"),
    [
        ({"patterns": 5}, [(7, 4)]),
        ({"queries": 2}, [(3, 4)]),
        ({}, [(2, 4), (2, 5, 4)]),
        ({}, [(2, 3, 4), (5, 4)]),
        ({"queries": 2}, [(2, 3, 5, 4)]),
    ],
)
def test_only_inputs_of_rank_3_are_taken(options, shapes):
    """Of rank 2 the samples of a batch would be states or patterns of one memory."""
    rank = next(len(each) for each in shapes if len(each) != 3)
    inputs = arrays(*shapes) if len(shapes) > 1 else arrays(*shapes)[0]
    built = ModernHopfield(**options)
    built.build([(None, 3, 4)] * len(shapes))
    symbolic = keras.tree.map_structure(lambda a: keras.Input(a.shape[1:]), inputs)
    for layer, given in (
        (ModernHopfield(**options), inputs),
        (ModernHopfield(**options), symbolic),
        (built, inputs),
    ):
        with pytest.raises(ValueError, match=rf"of rank {rank}, .*Reshape\(\(1, d\)\)"):
            layer(given)


def test_the_energy_never_rises_and_the_states_come_to_rest():
    xi, x = arrays((1, 20, 6), (1, 9, 6))
    settled = numpy(ModernHopfield(beta=1.5, steps=None)([xi, x]))
    layer = ModernHopfield(beta=1.5)
    before = numpy(layer.energy([xi, x]))
    for _ in range(60):
        xi = numpy(layer([xi, x]))
        after = numpy(layer.energy([xi, x]))
        assert (after <= before + 1e-5).all()
        before = after
    np.testing.assert_allclose(settled, xi, atol=1e-3)


def test_half_of_a_pattern_brings_back_the_whole_one_and_masked_ones_never_come():
    (x,) = arrays((1, 200, 64))
    half = np.where(np.arange(64) < 32, x, 0)
    layer = ModernHopfield(beta=1.0, steps=None)
    np.testing.assert_allclose(numpy(layer([half, x])), x, atol=1e-3)
    mask = np.arange(200)[None] != 7
    near = numpy(layer([half, x], mask=[None, mask]))
    assert np.abs(near[0, 7] - x[0, 7]).max() > 0.5
    np.testing.assert_allclose(near[0, 8:], x[0, 8:], atol=1e-3)
    nothing = numpy(layer([half, x], mask=[None, np.zeros((1, 200), bool)]))
    assert not nothing.any()


def test_pooling_and_lookup_are_retrieval_with_a_part_that_is_learnt():
    (x,) = arrays((2, 5, 4))
    pooling = ModernHopfield(queries=2, steps=2)
    y = numpy(pooling(x))
    # What is near 0 by cancellation has the rounding of the terms, which are near 1.
    near = {"rtol": 1e-5, "atol": 1e-6}
    for b in range(2):
        states = numpy(pooling.states)
        np.testing.assert_allclose(y[b], updates(states, x[b], 0.5, 2), **near)
    lookup = ModernHopfield(patterns=7, key_dim=3, value_dim=2)
    y = numpy(lookup(x))
    stored = numpy(lookup.stored)
    scores = x @ numpy(lookup.query_kernel) @ (stored @ numpy(lookup.key_kernel)).T
    p = np.exp(scores / np.sqrt(3))
    p /= p.sum(-1, keepdims=True)
    expected = p @ stored @ numpy(lookup.value_kernel)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.long
def test_beta_is_learnt_from_where_it_begins():
    xi, x = arrays((8, 1, 4), (8, 5, 4))
    layer = ModernHopfield(beta=0.5, learn_beta=True)
    inputs = [keras.Input((1, 4)), keras.Input((5, 4))]
    model = keras.Model(inputs, layer(inputs))
    still = ModernHopfield(beta=0.5)
    np.testing.assert_allclose(numpy(model([xi, x])), numpy(still([xi, x])), rtol=1e-5)
    model.compile(keras.optimizers.Adam(0.1), "mse")
    target = np.stack([updates(a, b, 4.0, 1) for a, b in zip(xi, x, strict=True)])
    losses = model.fit([xi, x], target, batch_size=8, epochs=40, verbose=0)
    assert losses.history["loss"][-1] < 0.1 * losses.history["loss"][0]
    assert float(numpy(layer.log_beta)) > np.log(1.5)


def test_bad_arguments_and_inputs_are_refused():
    xi, x = arrays((2, 3, 4), (2, 5, 6))
    with pytest.raises(ValueError, match=r"give `key_dim`. Received: 4 and 6"):
        ModernHopfield()([xi, x])
    assert ModernHopfield(key_dim=2)([xi, x]).shape == (2, 3, 6)
    with pytest.raises(ValueError, match=r"takes 2 to 3 inputs, .*Received: 1"):
        ModernHopfield()(xi)
    with pytest.raises(ValueError, match=r"takes 1 to 1 inputs, query. Received: 2"):
        ModernHopfield(patterns=3)([xi, x])
    with pytest.raises(ValueError, match=r"Either .*queries=2, patterns=3"):
        ModernHopfield(queries=2, patterns=3)
    for learnt in ({"queries": 2}, {"key_dim": 2}):
        with pytest.raises(ValueError, match=r"a fixed number of updates.*steps=None"):
            ModernHopfield(steps=None, **learnt)
    with pytest.raises(ValueError, match=r"`beta` must be .*greater than 0"):
        ModernHopfield(beta=0.0)
    with pytest.raises(ValueError, match="`steps` must be at least 1"):
        ModernHopfield(steps=0)
