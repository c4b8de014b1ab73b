"""A model compiled with a config's loss and metrics, and tried on a little data."""

import itertools
import warnings

import keras
import numpy as np

from keras_dlparts import backend
from keras_dlparts.config.construct import construct, shapes_of
from keras_dlparts.config.errors import ConfigError
from keras_dlparts.data.batches import Batches
from keras_dlparts.support.messages import own_words


def compile_model(experiment, model):
    """Compile with the config's optimizer, loss and metrics."""
    document = experiment.document
    if experiment.own_model is not None and _is_compiled(experiment, model):
        return model
    optimizer = construct(document, experiment.optimizer)
    loss = construct(document, experiment.loss)
    metrics = construct(document, experiment.metrics)
    document.raise_problems()
    options = experiment.settings.compile.model_dump()
    if options["steps_per_execution"] == "auto":  # a training decides it later
        options["steps_per_execution"] = 1
    try:
        model.compile(optimizer, loss, metrics=metrics, **options)
    except ValueError as error:
        document.problem(("compile",), own_words(error))
        document.raise_problems()
    if callable(getattr(optimizer, "grouped", None)) and model.built:
        try:
            optimizer.grouped(model.trainable_variables)
        except ValueError as error:
            document.problem(("optimizer",), own_words(error))
            document.raise_problems()
    return model


def _is_compiled(experiment, model):
    """Whether a model made in Python brings how it is compiled; problems are raised."""
    document, settings = experiment.document, experiment.settings
    if not model.compiled:
        if experiment.loss is None and not experiment.compiles:
            message = "it is not compiled. Call its `compile`, or give `loss:` and "
            message += "`optimizer:` in the config"
            document.problem(("model",), message)
            document.raise_problems()
        return False
    for key in experiment.compiles:
        message = "the model is compiled, and brings its own. Leave this out, or give "
        message += "a model that is not compiled"
        document.problem((key,), message)
    asked = settings.compile
    if asked.jit_compile not in ("auto", bool(model.jit_compile)):
        message = f"the model was compiled with jit_compile={model.jit_compile}. "
        message += "Say it there, and leave this out"
        document.problem(("compile", "jit_compile"), message)
    if asked.run_eagerly and not model.run_eagerly:
        message = "say it where the model is compiled: model.compile(run_eagerly=True)"
        document.problem(("compile", "run_eagerly"), message)
    if settings.dtype_policy not in ("float32", model.dtype_policy.name):
        message = f"the model was made with {model.dtype_policy.name!r}. Set the "
        message += "policy before it is made: keras.config.set_dtype_policy(...)"
        document.problem(("dtype_policy",), message)
    if not isinstance(model.optimizer, keras.optimizers.Optimizer):
        document.problem(
            ("model",),
            "a model is trained whose optimizer is `model.optimizer`, for a checkpoint "
            f"holds its state. Received: {type(model.optimizer).__name__}. Give one of "
            "its optimizers to `compile`",
        )
    document.raise_problems()
    return True


# Of how many bytes of labels all are looked at, and of more the first batch only.
_MOST_LABELS = 2**28


def check_fit(experiment, model, batch, data):
    """Try model, loss and metrics on a few rows of a batch, so that errors come early.

    Of `data`, the source, all labels are looked at, where they are in memory.

    Returns: what the model gives for the rows.
    """
    document = experiment.document
    own = experiment.own_model is not None and not experiment.compiles
    if own and type(model).train_step is not keras.Model.train_step:
        # It may use the data in a way of its own, so that nothing else can be tried.
        if not model.built:
            message = "a model with a `train_step` of its own must be built before. "
            message += "Call it on a batch, or call its `build`"
            document.problem(("model",), message)
            document.raise_problems()
        return None
    packing = getattr(model, "packing", 1)  # an adversarial net may pack samples
    rows = 2 * packing
    x, y, weight = _rows(batch, rows)
    if y is None and weight is not None and not backend.weighs_without_targets():
        message = "it has sample weights and no targets, which Keras' `fit` cannot "
        message += "read on TensorFlow. Give targets too: an `Autoencoder`, which does "
        message += "not look at them, takes (x, x, sample_weight)"
        document.problem(("data",), message)
        document.raise_problems()
    if weight is not None and experiment.settings.fit.class_weight:
        message = "the data has sample weights, and Keras takes one of the two. Leave "
        message += "it out, or multiply the sample weights by it"
        document.problem(("fit", "class_weight"), message)
        document.raise_problems()
    path, prediction = ("model",), None
    try:
        prediction = model(x, training=False)
        parts = keras.tree.flatten((prediction, y))
        sizes = {size for part in parts for size in _inner(part)}
        if rows in sizes:  # targets of shape (2,) would go with predictions (2, 2)
            counts = itertools.count(rows, packing)
            rows = next(count for count in counts if count not in sizes)
            x, y, weight = _rows(batch, rows)
            prediction = model(x, training=False)
        path = ("model",) if own else ("loss",)
        if own:
            _check_own_labels(document, model, batch, data, prediction)
            model.compute_loss(x, y, prediction, weight, training=False)
        elif experiment.loss is None and not (model.losses or has_own_loss(model)):
            document.problem((), "`loss:` is missing, and no layer adds a loss")
            document.raise_problems()
        elif has_own_loss(model):
            path = ("model",) if experiment.loss is None else ("loss",)
            model.compute_loss(x, y, prediction, weight, training=False)
        elif experiment.loss is not None:
            if y is None:
                document.problem(path, "the data has no targets for a loss to compare")
                document.raise_problems()
            _check_labels(document, experiment, batch, data, prediction)
            with warnings.catch_warnings():
                # TensorFlow's words for what `logits.py` says on all backends.
                warnings.filterwarnings("ignore", ".* received `from_logits=True`")
                model.compute_loss(x, y, prediction, weight, training=False)
        path = ("model",) if own else ("metrics",)
        model.compute_metrics(x, y, prediction, weight)
        model.reset_metrics()
    except ConfigError:
        raise
    except Exception as error:
        shapes = ""
        if prediction is not None:
            shapes = f" (predictions {shapes_of(prediction)}, targets {shapes_of(y)}, "
            shapes += f"for {'two' if rows == 2 else rows} rows)"
        document.problem(path, f"does not fit the data{shapes}: {own_words(error)}")
    document.raise_problems()
    return prediction


def has_own_loss(model):
    """Whether a model computes its loss itself, as an Autoencoder or a GAN does."""
    return type(model).compute_loss is not keras.Model.compute_loss


def _rows(batch, count):
    """(x, y, sample_weight) of the first rows of a batch, as `fit` gives them.

    A batch with fewer rows begins anew.
    """

    def taken(a):
        if a is None:  # the data has sample weights and no targets
            return None
        return a[:count] if len(a) >= count else np.resize(a, (count, *a.shape[1:]))

    x, y, weight = keras.utils.unpack_x_y_sample_weight(
        keras.tree.map_structure(taken, batch)
    )
    return x, *keras.tree.map_structure(_as_tensor, (y, weight))


def _inner(array):
    """The sizes of an array but for the number of its rows."""
    return tuple(getattr(array, "shape", ()))[1:]


def _as_tensor(array):
    if isinstance(array, np.ndarray) and array.dtype.kind in "biuf":
        return keras.ops.convert_to_tensor(array)
    return array


def _check_own_labels(document, model, batch, data, prediction):
    """As `_check_labels`, of a model that was compiled by the user."""
    sparse = keras.losses.SparseCategoricalCrossentropy
    words = ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy")
    if isinstance(model.loss, sparse) or model.loss in words:
        ignored = getattr(model.loss, "ignore_class", None)
        _check_classes(document, ("model",), _labels(batch, data), ignored, prediction)


def _check_labels(document, experiment, batch, data, prediction):
    """Note a label that the model has no output for: its loss would be NaN or worse."""
    if experiment.loss.part.name == "keras.SparseCategoricalCrossentropy":
        ignored = experiment.loss.arguments.get("ignore_class")
        _check_classes(document, ("loss",), _labels(batch, data), ignored, prediction)


def _labels(batch, data):
    """The targets of a source, those to train and to validate on, as several arrays."""
    several = [data.train, data.validation]
    several = [each for each in several if isinstance(each, Batches)]
    if all(getattr(each.y, "nbytes", np.inf) <= _MOST_LABELS for each in several):
        several = [each.y[each.rows] for each in several]
    else:
        several = []
    return several or [batch[1]]


def _check_classes(document, path, labels, ignored, prediction):
    if not (keras.ops.is_tensor(prediction) and hasattr(labels[0], "max")):
        return
    classes = prediction.shape[-1]
    labels = np.concatenate([np.ravel(each) for each in labels])
    labels = labels if ignored is None else labels[labels != ignored]
    broken = labels[labels != np.floor(labels)]
    message = ""
    if len(broken):
        message = f"the data has the target {broken[0]}, and this loss takes the "
        message += "numbers of classes, which are whole"
    elif len(labels) and labels.max() >= classes:
        highest = int(labels.max())
        message = f"the data has the label {highest}, but the model ends in {classes} "
        message += f"outputs; classes count from 0, so {highest + 1} are needed"
    elif len(labels) and labels.min() < 0:
        message = f"the data has the label {labels.min()}, and classes count from 0: "
        message += f"number them from 0 to {classes - 1}"
    if message:
        document.problem(path, message)
        document.raise_problems()
