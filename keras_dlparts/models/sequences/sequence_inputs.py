"""What an encoder-decoder is made of and called on, taken apart and checked."""

import keras

_OF_IMAGES = (
    keras.layers.ConvLSTM1D,
    keras.layers.ConvLSTM2D,
    keras.layers.ConvLSTM3D,
)
NAMES = ("source", "target", "labels")


def check_layers(encoder, decoder):
    """Raise unless the two layers can read and write sequences."""
    if not isinstance(encoder, keras.layers.Layer):
        raise TypeError(
            "`encoder` must be a layer, such as keras.layers.GRU(128). "
            f"Received: encoder={encoder!r}"
        )
    if isinstance(decoder, keras.layers.Bidirectional):
        raise ValueError(
            "`decoder` writes forwards, and what follows is not there to be read. "
            "Received: a Bidirectional layer; give the layer that is in it"
        )
    if not isinstance(decoder, keras.layers.RNN) or isinstance(decoder, _OF_IMAGES):
        raise ValueError(
            "`decoder` must be a recurrent layer whose states are vectors: "
            "keras.layers.RNN or a subclass, such as GRU, LSTM or LayerNormGRU. "
            f"Received: {type(decoder).__name__}; put several cells into one RNN layer"
        )
    for name in ("go_backwards", "stateful"):
        if getattr(decoder, name):
            raise ValueError(
                "`decoder` starts from the context and writes forwards. Received: a "
                f"layer with {name}=True; leave that out"
            )


def check_vector(encoder, shape):
    """Raise unless an encoder's output shape is that of one vector a sequence."""
    if not is_shape(shape) or len(shape) != 2:
        raise ValueError(
            "`encoder` must make one vector of a sequence. Received: "
            f"{type(encoder).__name__} with outputs {shape}; give it "
            "return_sequences=False and return_state=False, or end it in a layer "
            "that pools over time"
        )


def check_shape(name, shape, symbols):
    """Raise unless a shape is that of sequences of symbols, or of real values.

    Args:
        name: `"source"` or `"target"`.
        shape: The shape, with the batch.
        symbols: How many symbols there are; None or 0 for real values.
    """
    if symbols and len(shape) != 2:
        raise ValueError(
            "Sequences of symbols have the shape (batch, time). Received: a "
            f"{name} of shape {tuple(shape)}; leave out the vocabulary for real values"
        )
    if not symbols and (len(shape) < 3 or None in shape[2:]):
        raise ValueError(
            "Sequences of real values have the shape (batch, time, ...), with a known "
            f"size of each step. Received: a {name} of shape {tuple(shape)}; for "
            "symbols say `vocabulary`, how many there are"
        )


def check_length(length, steps):
    """Raise where targets have more steps than are written."""
    if length and steps and steps > length:
        raise ValueError(
            "Targets may have as many steps as `length`, which is how many are "
            f"written. Received: {steps} steps with length={length}; raise `length`, "
            "or cut the targets"
        )


def is_shape(value):
    """Whether a value is one shape, not a structure of shapes."""
    return isinstance(value, list | tuple) and all(
        size is None or isinstance(size, int) for size in value
    )


def parts(inputs, is_one=lambda value: hasattr(value, "shape")):
    """(source, target, labels) of what the model is called on.

    Labels may be None, and the target is the source where there is no other.

    Args:
        inputs: Tensors, or shapes with `is_one=is_shape`.
        is_one: Whether a value is no structure of several.
    """
    if is_one(inputs):
        return inputs, inputs, None
    if not isinstance(inputs, dict):
        inputs = dict(zip(NAMES, inputs, strict=False)) if len(inputs) < 4 else {}
    if "source" not in inputs or not set(inputs) <= set(NAMES):
        raise ValueError(
            "The inputs must be sources alone, a list of source, target and perhaps "
            "labels, or a dict with these names. Received: "
            f"{', '.join(map(str, inputs)) or 'another number of inputs'}"
        )
    source = inputs["source"]
    return source, inputs.get("target", source), inputs.get("labels")


def augmented(layer, c, labels, training):
    """Contexts as an augmentation leaves them, given their labels if there are any."""
    needed = getattr(layer, "mode", "noise") != "noise"
    if training and needed and labels is None:
        raise ValueError(
            "The augmentation moves contexts towards others with the same label. "
            "Received: no labels; give them as the third input, (source, target, "
            "labels), zeros if all sequences are of one kind"
        )
    return layer(c if labels is None else [c, labels], training=training)
