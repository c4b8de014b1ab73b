"""What the callbacks of a config need of the rest of it: found before training.

A callback's `monitor`, and `best.monitor`, must be a column that training will have:

    the model's loss and metrics, and with `val_` before them those of validation
    what callbacks add to the logs: their `columns`, a list of names
    for `best`, what else a row of the history holds

Keras' own callbacks add nothing but the learning rate. A callback of somebody else
without `columns` may add anything, and then no name is refused. So may an optimizer
that has `logs()`, for `best`, but no column of validation.
"""

import contextlib
import traceback

import keras

from keras_dlparts.backend import keras_private
from keras_dlparts.runs import BOOKKEEPING, higher_is_better
from keras_dlparts.support.messages import own_words

_WATCHING = (
    keras.callbacks.EarlyStopping,
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.ReduceLROnPlateau,
)


def check_monitors(experiment, model, data, callbacks):
    """Note each monitor that no column of the history will be.

    The model was tried on the data, so that its metrics are there.
    """
    settings = experiment.settings
    columns = sorted(model.get_metrics_result())  # as in the history
    never = ""
    if data.validation is None:
        never = "the data has no validation split"
    elif settings.fit.validation_freq > settings.fit.epochs:
        never = f"validation never runs in {settings.fit.epochs} epochs"
    else:
        columns += [f"val_{name}" for name in columns]
    for i, callback in enumerate(callbacks):
        if _watches(callback):
            if columns is not None:
                path = ("callbacks", i, "monitor")
                _check(experiment, path, callback.monitor, columns, never)
            if columns is None or callback.monitor in columns:
                _check_direction(experiment, model, i, callback)
        columns = _with(columns, callback)
    monitor = settings.best.monitor
    if monitor is None or columns is None:
        return
    inner = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if callable(getattr(inner, "logs", None)) and not monitor.startswith("val_"):
        return
    columns = ["epoch", *columns, *BOOKKEEPING[1:]]
    _check(experiment, ("best", "monitor"), monitor, columns, never)
    if settings.best.mode == "auto":
        check_name(experiment.document, ("best", "mode"), monitor, model)


def check_name(document, path, column, model):
    """Note where a column's name tells another direction than the model's metric.

    For what goes by the name, which is all that the readers of a history know.
    """
    try:
        watching = keras.callbacks.EarlyStopping(column)
        known = keras_private.decide_direction(watching, model)
    except ValueError:  # Keras does not know it either
        return
    if (known == "max") != higher_is_better(column):
        better = {"min": "low", "max": "high"}[known]
        message = f"the column {column!r} is better {better}, which its name does not "
        document.problem(path, f"{message}tell. Received: auto; say `{known}`")


def _watches(callback):
    if isinstance(callback, keras.callbacks.ModelCheckpoint):
        return callback.save_best_only and callback.save_freq == "epoch"
    return isinstance(callback, _WATCHING)


def _with(columns, callback):
    """The columns that the logs have after a callback; None where any may be."""
    added = getattr(callback, "columns", None)
    if added is None and _home(callback) == "keras":
        schedules = "ReduceLROnPlateau", "LearningRateScheduler"
        added = ["learning_rate"] * (type(callback).__name__ in schedules)
    return None if None in (columns, added) else [*columns, *added]


def _check(experiment, path, monitor, columns, never):
    if monitor in columns:
        return
    message = "no column of the history"
    if monitor.startswith("val_") and never:
        message += f": {never}"
    message += f". Received: {monitor!r}; accepted: {', '.join(dict.fromkeys(columns))}"
    experiment.document.problem(path, message)


def _check_direction(experiment, model, i, callback):
    """Note where Keras cannot tell whether a column is better high or low.

    It can of the loss and the model's metrics, and of nothing that callbacks add.
    """
    try:
        keras_private.decide_direction(callback, model)
    except ValueError:
        experiment.document.problem(
            ("callbacks", i, "monitor"),
            "Keras cannot tell whether this column is better low or high. Received: "
            f"{callback.monitor!r}; say `mode: min` or `mode: max`",
        )


def hand_over(document, made, scope=contextlib.nullcontext, leave_out=()):
    """Give the callbacks the model and the data; a ConfigError tells what they refuse.

    Args:
        document: the config's.
        made: what was assembled from the config.
        scope: makes the context of the devices: a callback may change the optimizer.
        leave_out: packages whose callbacks are left out.
    """
    for i, callback in enumerate(made.callbacks):
        if _home(callback) in leave_out:
            continue
        try:
            with scope():
                callback.set_model(made.model)
            if callable(getattr(callback, "set_data", None)):  # no data in Keras' API
                callback.set_data(made.data.train)
            if callable(getattr(callback, "set_splits", None)):
                callback.set_splits(made.data)
        except Exception as error:
            _note(document, i, callback, error)
    document.raise_problems()


def try_callbacks(experiment, made):
    """Begin a training as far as a check can, with a model that is thrown away.

    What may open files or connections is not called: Keras' own callbacks, and
    `on_train_begin` of other people's.
    """
    if made.data is None:
        return
    hand_over(experiment.document, made, leave_out=("keras",))
    for i, callback in enumerate(made.callbacks):
        if _home(callback) == "keras_dlparts":
            try:
                callback.on_train_begin()
            except Exception as error:
                _note(experiment.document, i, callback, error)
    experiment.document.raise_problems()


def blame(document, callbacks, error):
    """Raise a ConfigError where an error arose in a callback's `on_train_begin`."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "on_train_begin":
            for i, callback in enumerate(callbacks):
                if frame.f_locals.get("self") is callback:
                    _note(document, i, callback, error)
    document.raise_problems()


def _home(callback):
    """The package that a callback's class comes from."""
    return type(callback).__module__.partition(".")[0]


def _note(document, i, callback, error):
    name, message = type(callback).__name__, own_words(error)
    if not message.startswith(name):
        message = f"{name}: {message}"
    document.problem(("callbacks", i), message)
