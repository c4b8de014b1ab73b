"""Uses as people write them, which pyright checks; nothing here runs.

`make check` runs pyright over this file. Lines that must be refused say so: pyright
tells of an `# pyright: ignore` that nothing needs.
"""

from pathlib import Path

import keras
import numpy as np

import keras_dlparts
from keras_dlparts import Run, callbacks, layers, losses, models, optimizers
from keras_dlparts.data import Arrays, Csv, Digits, Spirals
from keras_dlparts.layers import LayerNormLSTM, RandomDropout, Residual
from keras_dlparts.optimizers import Clipped, FixedNorm


def a_layer_in_a_model() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(64, activation="relu"),
            RandomDropout(0.5),
            RandomDropout(rate=0.5, per="batch", seed=1, name="second"),
            Residual(keras.layers.Dense(64), shortcut="gate"),
            Residual([keras.layers.Dense(64), layers.StochasticDepth(0.1)]),
            layers.Maxout(16, axis=1),
            keras.layers.Dense(10),
        ]
    )


def layers_by_the_lazy_package() -> list[keras.layers.Layer]:
    return [
        keras_dlparts.layers.RandomDropout(0.5),
        keras_dlparts.layers.WeightNormalization(keras.layers.Dense(3)),
        LayerNormLSTM(32, return_sequences=True),
        layers.MinMaxNormalization(low=-1.0),
        layers.Whitening(kind="zca"),
    ]


def an_optimizer_and_callbacks(model: keras.Model, x: np.ndarray, y: np.ndarray):
    model.compile(
        optimizer=Clipped(keras.optimizers.SGD(0.1), by=FixedNorm(1.0)),
        loss=losses.PerceptronLoss(),
    )
    watching = [callbacks.GradientFlow(every=10, data=(x, y))]
    return model.fit(x, y, callbacks=watching)


def more_optimizers() -> list[keras.optimizers.Optimizer]:
    return [
        optimizers.ClippedSGD(0.1),
        optimizers.NormalizedSGD(
            keras.optimizers.schedules.ExponentialDecay(0.1, 100, 0.5)
        ),
    ]


def a_blueprint() -> keras.Model:
    net = models.MLP(hidden=(64, 32), outputs=3, dropout=0.2)
    return models.ResNet(depth=20) if net.built else net


def a_source_of_data(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    for source in (Digits(batch_size=16), Spirals(classes=3, noise=0.1)):
        for batch in (source.train, source.validation, source.test):
            if batch is not None:
                batch.arrays()
    return Csv(folder / "a.csv", target="label").train.arrays()


def a_run(folder: Path) -> keras.Model:
    run = keras_dlparts.train({"model": ["Flatten"]}, out=folder, epochs=3)
    model = keras_dlparts.load_model(run.path / "best.keras")
    return keras_dlparts.fold(model)


def a_model_of_ones_own(model: keras.Model, x: np.ndarray, y: np.ndarray) -> Run:
    run = keras_dlparts.train(model=model, data=(x, y), epochs=3)
    keras_dlparts.train(
        {"seed": 1},
        model=lambda: model,
        data=Digits(),
        callbacks=[keras.callbacks.EarlyStopping()],
        class_weight={0: 1.0, 1: 2.0},
        directory=run.path / "again",
        resume=True,
    )
    keras_dlparts.build({"loss": "mse"}, model=model)
    keras_dlparts.train(data=Arrays((x, y)), model=model, validation_data=(x, y))
    return run


def mistakes():
    """Each of these must be told."""
    keras_dlparts.train(model=3)  # pyright: ignore[reportArgumentType]
    keras_dlparts.train(epoch=3)  # pyright: ignore[reportCallIssue]
    RandomDropout("0.5")  # pyright: ignore[reportArgumentType]
    RandomDropout(0.5, per="element")  # pyright: ignore[reportArgumentType]
    layers.StochasticDepth("0.1")  # pyright: ignore[reportArgumentType]
    layers.Whitening(kind="zac")  # pyright: ignore[reportArgumentType]
    RandomDropout()  # pyright: ignore[reportCallIssue]
    Residual(3)  # pyright: ignore[reportArgumentType]
    Clipped("sgd", by=1.0)  # pyright: ignore[reportArgumentType]
    Digits(flatten="yes")  # pyright: ignore[reportArgumentType]
    keras_dlparts.layers.RandomDropuot(0.5)  # pyright: ignore[reportAttributeAccessIssue]
    keras_dlparts.train("a.yaml", epoch=3)  # pyright: ignore[reportCallIssue]
    keras_dlparts.train("a.yaml", epochs="3")  # pyright: ignore[reportArgumentType]
    keras_dlparts.trian("a.yaml")  # pyright: ignore[reportAttributeAccessIssue]
    keras_dlparts.analysis.dropping()  # pyright: ignore[reportAttributeAccessIssue]
    keras_dlparts.Run("a").modle()  # pyright: ignore[reportAttributeAccessIssue]
