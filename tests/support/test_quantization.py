"""Quantised models with parts that make layers, or that need theirs as they are."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

import keras_dlparts
from keras_dlparts import graphs
from keras_dlparts.layers import (
    BayesianSparsityDropout,
    Residual,
    ResidualDenseBlock,
    WeightNormalization,
)

# Keras says so of each layer that it has no way to quantise.
pytestmark = pytest.mark.filterwarnings("ignore:Layer .* does not have a .quantize")
X = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")


def outputs(model):
    return ops.convert_to_numpy(model(X, training=False))


def blocks():
    body = [kl.Dense(6, "relu"), kl.Dense(5)]
    return keras.Sequential(
        [
            keras.Input((5,)),
            ResidualDenseBlock(5, norm=None, residual={"learn_scale": 0.5}),
            Residual(body, "gate"),
            ResidualDenseBlock(3, norm=None),
        ]
    )


def test_config_of_made_layers_says_how_they_were_quantized():
    """Whatever is made from it, a clone too, takes the quantised weights."""
    model = blocks()
    plain = [layer.get_config() for layer in model.layers]
    model.quantize(
        config=keras.quantizers.Int8QuantizationConfig(activation_quantizer=None)
    )
    assert not any("quantized" in config for config in plain)
    clone = keras.Sequential.from_config(model.get_config())
    clone.set_weights(model.get_weights())
    np.testing.assert_array_equal(outputs(clone), outputs(model))
    dense = [one for one in graphs.leaves(clone) if isinstance(one, kl.Dense)]
    assert len(dense) == 8  # 2, then 2 and the gate, then 2 and the projection
    # Weights alone: Keras would quantise what goes in too, unless told.
    assert all(one.inputs_quantizer is None for one in dense)
    # Quantised again it says the same, and the block is still made without a note.
    assert [one.get_config() for one in clone.layers] == [
        one.get_config() for one in model.layers
    ]


@pytest.mark.parametrize("wrapper", [WeightNormalization, BayesianSparsityDropout])
def test_wrapped_layer_stays_whole_and_a_stripped_one_is_quantized(wrapper):
    inner = kl.Dense(3, name="inner")
    model = keras.Sequential([keras.Input((5,)), wrapper(inner, name="outer")])
    for variable in model.weights:  # away from where the wrapper is the layer
        if variable.name in ("kernel", "g_kernel"):
            variable.assign(variable + 0.5)
    before = outputs(model)
    with pytest.warns(UserWarning, match=r"'inner' is left.*`keras_dlparts.strip"):
        model.quantize("int8")
    np.testing.assert_array_equal(outputs(model), before)
    stripped = keras_dlparts.strip(model)
    np.testing.assert_allclose(outputs(stripped), before, rtol=1e-5, atol=1e-6)
    stripped.quantize("int8")
    assert stripped.layers[0].quantization_mode == "int8"
    np.testing.assert_allclose(outputs(stripped), before, atol=0.1)


@pytest.mark.parametrize("wrapper", [WeightNormalization, BayesianSparsityDropout])
def test_a_layer_that_is_quantized_already_is_refused(wrapper):
    layer = kl.Dense(3, dtype="int8_from_float32")
    with pytest.raises(ValueError, match="weights in full"):
        wrapper(layer).build((None, 5))
