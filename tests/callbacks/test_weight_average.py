"""WeightAverage: which weights count, with which statistics, and where they go."""

import keras
import numpy as np
import pytest
from keras import layers as kl

from keras_dlparts import train
from keras_dlparts.callbacks import RelaxedSmoothnessClipping, WeightAverage
from keras_dlparts.optimizers import Averaged, Clipped
from keras_dlparts.runs import best_row
from keras_dlparts.surgery import recalibrate

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(24, 4)).astype("float32")
Y = RANDOM.normal(size=(24, 2)).astype("float32")


def net(norm=False, accumulated=None):
    keras.utils.set_random_seed(0)
    layers = [kl.Dense(6, "tanh"), *[kl.BatchNormalization()] * norm, kl.Dense(2)]
    model = keras.Sequential([keras.Input((4,)), *layers])
    options = {"gradient_accumulation_steps": accumulated}
    sgd = keras.optimizers.SGD(0.2, 0.9, **options)
    model.compile(sgd, "mse", jit_compile=False)
    return model


class Snapshots(keras.callbacks.Callback):
    """The first kernel after each step, which a model that is not averaged has."""

    def __init__(self):
        super().__init__()
        self.kernels = []

    def on_train_batch_end(self, batch, logs=None):
        if keras.backend.backend() == "jax":
            self.model.jax_state_sync()
        self.kernels.append(self.model.layers[0].kernel.numpy())


def fit(model, *callbacks, epochs=4, **more):
    """Three steps an epoch."""
    options = {"batch_size": 8, "epochs": epochs, "shuffle": False, "verbose": 0}
    return model.fit(X, Y, callbacks=callbacks, **options, **more)


@pytest.fixture(scope="module")
def plain():
    """(losses, first kernels after each step) without an average."""
    seen = Snapshots()
    return fit(net(), seen).history["loss"], seen.kernels


def kernel(model):
    return model.layers[0].kernel.numpy()


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [
        ({"kind": "tail"}, range(12)),
        ({"kind": "tail", "start": 0.5}, range(6, 12)),
        ({"kind": "tail", "start": 5, "every": 3}, (7, 10)),
        ({"kind": "sma", "window": 2}, (10, 11)),
        ({"kind": "swa", "start": 1}, (5, 8, 11)),
        ({"kind": "swa", "start": 0.3, "every": 2}, (8,)),  # 3.6 steps in: from epoch 2
        ({"kind": "ema", "momentum": 0.0}, (11,)),
    ],
)
def test_the_weights_that_are_averaged(plain, arguments, steps):
    losses, kernels = plain
    model = net()
    history = fit(model, WeightAverage(**arguments)).history
    assert history["loss"] == pytest.approx(losses, rel=1e-6)
    expected = np.mean([kernels[i] for i in steps], axis=0)
    np.testing.assert_allclose(kernel(model), expected, rtol=1e-5, atol=1e-7)


def test_the_weights_themselves_are_kept_where_that_is_asked(plain):
    model = net()
    fit(model, WeightAverage("tail", final="weights"))
    np.testing.assert_allclose(kernel(model), plain[1][-1], rtol=1e-6)


@pytest.mark.long
def test_weights_of_few_digits_get_their_averages():
    model = keras.Sequential([keras.Input((4,)), kl.Dense(2, dtype="bfloat16")])
    model.compile(keras.optimizers.SGD(0.2), "mse", jit_compile=False)
    fit(model, WeightAverage("tail"), epochs=1)
    (average, _), kernel = model.optimizer.averages(), model.layers[0].kernel
    assert average.dtype == "float32"
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(kernel).astype("float32"), average, rtol=2**-8
    )


@pytest.mark.long
def test_they_are_evaluated_with_statistics_of_their_own():
    """By hand: the averaged weights in a model whose statistics are computed anew."""
    model, other = net(norm=True), net(norm=True)
    average = WeightAverage("tail", data=(X, Y), validation_data=(X, Y))
    history = fit(model, average, validation_data=(X, Y)).history
    assert [*history] == ["loss", "val_loss", "average_val_loss"]
    trained = [v.numpy() for v in model.layers[1].non_trainable_variables]
    for ours, theirs in zip(
        other.trainable_variables, model.trainable_variables, strict=True
    ):
        ours.assign(theirs.numpy())
    recalibrate(other, [X])
    expected = other.evaluate(X, Y, verbose=0)
    assert history["average_val_loss"][-1] == pytest.approx(expected, rel=1e-4)
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(expected, rel=1e-4)
    for ours, theirs in zip(
        other.layers[1].non_trainable_variables, trained, strict=True
    ):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-4, atol=1e-6)
    plain = net(norm=True)
    assert fit(plain, validation_data=(X, Y)).history["val_loss"] == pytest.approx(
        history["val_loss"], rel=1e-5
    )


def test_normalizations_that_are_frozen_keep_their_statistics():
    """Nothing is recalibrated then, and no training data is needed for it."""
    model = net(norm=True)
    model.layers[1].trainable = False
    model.compile(keras.optimizers.SGD(0.2), "mse", jit_compile=False)
    history = fit(model, WeightAverage("tail", validation_data=(X, Y)), epochs=1)
    assert "average_val_loss" in history.history
    np.testing.assert_array_equal(model.layers[1].moving_mean.numpy(), np.zeros(6))


def test_it_begins_anew_in_each_fit_and_stays_one_wrapper():
    model, average, seen = net(), WeightAverage("tail", final="weights"), Snapshots()
    fit(model, average, epochs=1)
    fit(model, average, seen, epochs=1)
    assert isinstance(model.optimizer, Averaged)
    assert not isinstance(model.optimizer.optimizer, Averaged)
    assert model.optimizer.count == 3
    found = model.optimizer.averages()[0]
    np.testing.assert_allclose(found, np.mean(seen.kernels, axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "steps"),
    [({"kind": "tail"}, range(6, 12)), ({"kind": "swa"}, (8, 11))],
)
def test_a_share_is_of_the_epochs_of_this_fit(arguments, steps):
    """Of four epochs from the fifth on, the first two are left out."""
    model, seen = net(), Snapshots()
    fit(model)
    average = WeightAverage(start=0.5, final="weights", **arguments)
    fit(model, average, seen, epochs=8, initial_epoch=4)
    expected = np.mean([seen.kernels[i] for i in steps], axis=0)
    np.testing.assert_allclose(model.optimizer.averages()[0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "steps", "batch_size"),
    [
        ({"kind": "swa", "every": 2}, (5, 11), 8),
        ({"kind": "swa", "every": 2, "start": 0.3}, (5, 11), 8),
        ({"kind": "swa", "every": 2, "start": 0.5}, (11,), 8),
        ({"kind": "swa", "every": 2, "start": 0.5}, (3,), 24),
        ({"kind": "tail", "start": 0.5}, (3,), 24),
        ({"kind": "tail", "start": 0.5}, (7, 9, 11), 8),
    ],
)
def test_on_accumulated_gradients(arguments, steps, batch_size):
    """The optimizer steps at every second step, 1, 3 and so on."""
    model, seen = net(accumulated=2), Snapshots()
    average, some = WeightAverage(final="weights", **arguments), {"verbose": 0}
    some |= {"batch_size": batch_size, "epochs": 4, "shuffle": False}
    model.fit(X, Y, callbacks=[average, seen], **some)
    assert model.optimizer.count == len(steps)
    expected = np.mean([seen.kernels[i] for i in steps], axis=0)
    np.testing.assert_allclose(model.optimizer.averages()[0], expected, rtol=1e-5)


@pytest.mark.parametrize("arguments", [{}, {"start": 0.5}, {"start": 1, "every": 2}])
def test_epochs_that_end_between_two_steps_of_the_optimizer_are_refused(arguments):
    with pytest.raises(ValueError, match=r"steps=3 an epoch .* a multiple of 2"):
        fit(net(accumulated=2), WeightAverage("swa", **arguments))


def test_an_average_that_was_never_made_is_told():
    model, seen = net(), Snapshots()
    with pytest.warns(UserWarning, match="at step 6 of .* those of step 8"):
        fit(model, WeightAverage("tail", start=7), seen, epochs=2)
    np.testing.assert_array_equal(kernel(model), seen.kernels[-1])


def test_with_a_callback_that_wraps_the_optimizer_too():
    for order in (1, -1):
        model = net()
        both = [WeightAverage("tail"), RelaxedSmoothnessClipping(data=(X, Y))]
        fit(model, *both[::order], epochs=1)
        kinds = {type(model.optimizer), type(model.optimizer.optimizer)}
        assert kinds == {Averaged, Clipped}
        assert model.optimizer.iterations == 3


def test_a_saved_model_goes_on_with_its_averages(tmp_path):
    model = net()
    fit(model, WeightAverage("tail", final="weights"))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    for ours, theirs in zip(
        loaded.optimizer.averages(), model.optimizer.averages(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


CONFIG = {
    "dlparts": 1,
    "data": {"use": "digits", "batch_size": 100},
    "model": [{"use": "Dense", "units": 10}, "BatchNormalization"],
    "optimizer": {"use": "SGD", "learning_rate": 1.0},
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "callbacks": [{"use": "WeightAverage", "kind": "tail", "recalibrate": 3}],
    "fit": {"epochs": 3},
}


@pytest.mark.long
@pytest.mark.parametrize("epochs", [pytest.param(1, marks=pytest.mark.study), 4])
def test_a_share_of_a_run_that_is_resumed_is_of_the_whole_run(tmp_path, epochs):
    """The second half of four epochs, from the checkpoint before the last one: that of
    the begin, and that of the third epoch."""
    average = {"use": "WeightAverage", "kind": "tail", "start": 0.5, "recalibrate": 0}
    config = CONFIG | {"callbacks": [average], "fit": {"epochs": 4}}
    whole = train(config, out=tmp_path / "whole")
    run = train(config, out=tmp_path / "stopped", epochs=epochs)
    (run.path / "checkpoints" / f"epoch-{epochs:05d}.npz").unlink()
    resumed = train(config, out=tmp_path / "stopped", resume=True)
    np.testing.assert_array_equal(
        resumed.history["average_val_loss"], whole.history["average_val_loss"]
    )


@pytest.mark.long
def test_a_run_saves_the_average_as_its_best_model_and_resumes_exactly(tmp_path):
    """At a learning rate that lets the weights jump about, their average is better."""
    run = train(CONFIG, out=tmp_path / "whole")
    train(CONFIG, out=tmp_path / "stopped", epochs=2)
    resumed = train(CONFIG, out=tmp_path / "stopped", resume=True)
    for name in ("average_val_loss", "val_loss"):
        assert resumed.history[name] == run.history[name]
    for ours, theirs in zip(
        resumed.model.get_weights(), run.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    column, row = run.best()
    assert column == "average_val_loss"
    assert run.history["average_val_loss"][row] < min(run.history["val_loss"])
    x, y = run.data("validation")
    found = run.model.evaluate(x, y, verbose=0)
    assert found == pytest.approx(run.history["average_val_loss"][row], rel=1e-3)


def test_the_best_row_is_of_the_weights_or_of_their_average():
    nan = np.nan
    history = {"val_loss": [3.0, 2.0, 2.5], "average_val_loss": [nan, 2.0, 1.0]}
    assert best_row(history) == ("average_val_loss", 2)
    assert best_row({k: v[:2] for k, v in history.items()}) == ("val_loss", 1)
    history = {"val_accuracy": [0.5, 0.7], "average_val_accuracy": [0.6, 0.8]}
    assert best_row(history, "val_accuracy") == ("average_val_accuracy", 1)
    assert best_row(history, "val_accuracy", "min") == ("val_accuracy", 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kind": "mean"}, "`kind` must be"),
        ({"final": "best"}, "`final` must be"),
        ({"start": -1}, "`start` must be at least 0"),
        ({"start": 1.0}, "`start` must be .* less than 1"),
        ({"every": 0}, "`every` must be at least 1"),
        ({"momentum": 1.0}, "`momentum` must satisfy"),
        ({"window": 0}, "`window` must be at least 1"),
        ({"recalibrate": -1}, "`recalibrate` must be at least 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        WeightAverage(**arguments)


def test_what_cannot_be_known_is_said():
    with pytest.raises(ValueError, match="needs a batch"):
        fit(net(norm=True), WeightAverage())
    fit(net(norm=True), WeightAverage(recalibrate=0), epochs=1)
    batches = ((X, Y) for _ in range(3))
    model, some = net(), {"callbacks": [WeightAverage("swa")], "shuffle": False}
    with pytest.raises(ValueError, match="How many steps an epoch has"):
        model.fit(batches, verbose=0, **some)
