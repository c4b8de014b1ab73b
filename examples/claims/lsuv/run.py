"""A plain dense net of 30 layers from He's, LeCun's and LSUV's weights."""

import keras
from keras import layers as kl

from examples.claims.deep_nets import centred, flat, trained
from examples.claims.deep_nets import draw as draw_weights
from keras_dlparts.surgery import lsuv


def run(
    seed,
    data,
    activation,
    scale,
    depth,
    steps,
    rescaled=False,
    normalized=False,
    batch=64,
    units=128,
    learning_rate=0.02,
):
    train, test = flat(centred(data))
    dense = [kl.Dense(units) for _ in range(depth)]
    net, last = [keras.Input(train[0].shape[1:])], kl.Dense(10)
    for layer in dense:
        net.append(layer)
        if normalized:
            net.append(kl.BatchNormalization(momentum=0.9))
        net.append(kl.Activation(activation))
    model = keras.Sequential([*net, last])

    def start(number, layer):
        return keras.initializers.VarianceScaling(
            scale, "fan_in", "untruncated_normal", 1000 * seed + number
        )

    draw_weights([*dense, last], start)
    if rescaled:
        lsuv(model, train[0][:512], seed=1000 * seed)
    return trained(model, train, test, learning_rate, steps, batch, seed)
