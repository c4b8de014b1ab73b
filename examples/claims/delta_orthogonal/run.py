"""A plain tanh convolution net on images of 7 x 7 squares of 4 x 4 pixels."""

import keras
from keras import layers as kl

from examples.claims.deep_nets import centred, trained
from examples.claims.deep_nets import draw as draw_weights
from keras_dlparts.initializers import DeltaOrthogonal


def run(seed, data, orthogonal, depth, steps, batch=32, learning_rate=0.02):
    train, test = ((squares(x), y) for x, y in centred(data))
    layers = [kl.Conv2D(16, 3, padding="same", activation="tanh") for _ in range(depth)]
    last = kl.Dense(10)
    model = keras.Sequential([keras.Input((7, 7, 16)), *layers, kl.Flatten(), last])

    def start(number, layer):
        if orthogonal and layer is not last:
            return DeltaOrthogonal("tanh", seed=1000 * seed + number)
        return keras.initializers.GlorotUniform(seed=1000 * seed + number)

    draw_weights([*layers, last], start)
    return trained(model, train, test, learning_rate, steps, batch, seed)


def squares(x):
    """Images (n, 28, 28) as 7 x 7 squares with their 16 pixels as channels, small."""
    cut = x.reshape(-1, 7, 4, 7, 4).transpose(0, 1, 3, 2, 4)
    return 0.2 * cut.reshape(-1, 7, 7, 16)
