"""Greedy layer-wise pre-training of an autoencoder: each layer as one of its own.

    h_0 = x,   h_l = f_l(h_(l-1))
    layer l    learns to give back h_(l-1) from f_l(c(h_(l-1)))      l = 1 .. L

Layer l is a Dense or convolutional layer with what follows it up to the next one.
Shapes: those of the autoencoder's layers.
Vincent et al. 2010, "Stacked denoising autoencoders", JMLR 11.
"""

import keras

from keras_dlparts.backend import feeding
from keras_dlparts.models.reconstruction.mirroring import has_weights


def pretrain(model, kind, x, epochs, batch_size, learning_rate, fit):
    """Learn the layers of a built autoencoder in turn; returns their histories.

    The machines are made of the very layers of the model, so they need not be copied.

    Args:
        kind: The class `Autoencoder`.
        x, epochs, batch_size, learning_rate, fit: as of `Autoencoder.pretrain`.
    """
    histories, blocks = [], _blocks(model)
    if not blocks:
        raise ValueError(
            "Pre-training learns Dense and convolutional layers, of which the encoder "
            "must have one at least. Received: "
            f"{[type(each).__name__ for each in model.encoder.layers]}"
        )
    for number, (start, end) in enumerate(blocks):
        layers = model.encoder.layers[start:end]
        undone = [
            each
            for n in range(end - 1, start - 1, -1)
            for each in model.undone.get(n, [])
        ]
        machine = kind(
            layers,
            decoder=undone or None,
            corruption=_like(model.corruption),
            penalty=model.penalty,
            contraction=model.contraction,
            likelihood=model.likelihood if number == 0 else "mse",
            input_shape=x.shape[1:],
        )
        machine.compile(keras.optimizers.Adam(learning_rate))
        histories.append((fit or _fit)(machine, x, epochs, batch_size, number))
        if number + 1 < len(blocks):
            x = feeding.outputs(machine.encoder, x, 1024)
    return histories


def _blocks(model):
    """(start, end) of the layers of the encoder that are learnt together."""
    layers = model.encoder.layers
    starts = [i for i, layer in enumerate(layers) if has_weights(layer)]
    return [
        (0 if i == 0 else start, end)
        for i, (start, end) in enumerate(
            zip(starts, [*starts[1:], len(layers)], strict=True)
        )
    ]


def _like(corruption):
    """Corruption of the same kind, with draws of its own."""
    if corruption is None:
        return None
    return type(corruption).from_config(corruption.get_config())


def _fit(model, x, epochs, batch_size, number):
    history = model.fit(x, batch_size=batch_size, epochs=epochs, verbose=0)
    return history.history
