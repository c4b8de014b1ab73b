"""A model compiled with a config's loss and metrics, and tried on a little data."""

import warnings

import keras

from keras_dlparts.config.construct import construct, shapes_of
from keras_dlparts.config.errors import ConfigError
from keras_dlparts.support.messages import own_words


def compile_model(experiment, model):
    """Compile with the config's optimizer, loss and metrics."""
    document = experiment.document
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
    return model


def check_fit(experiment, model, batch):
    """Try model, loss and metrics on two rows of a batch, so that errors come early.

    Returns: what the model gives for the rows.
    """
    document = experiment.document
    x, y, weight = keras.utils.unpack_x_y_sample_weight(
        keras.tree.map_structure(lambda a: a[:2], batch)
    )
    path = ("model",)
    try:
        prediction = model(x, training=False)
        path = ("loss",)
        if experiment.loss is None and not model.losses:
            document.problem((), "`loss:` is missing, and no layer adds a loss")
            document.raise_problems()
        if experiment.loss is not None:
            if y is None:
                document.problem(path, "the data has no targets for a loss to compare")
                document.raise_problems()
            _check_labels(document, experiment, batch, prediction)
            with warnings.catch_warnings():
                # TensorFlow's words for what `logits.py` says on all backends.
                warnings.filterwarnings("ignore", ".* received `from_logits=True`")
                model.compute_loss(x, y, prediction, weight, training=False)
        path = ("metrics",)
        model.compute_metrics(x, y, prediction, weight)
        model.reset_metrics()
    except ConfigError:
        raise
    except Exception as error:
        shapes = ""
        if path != ("model",):
            shapes = f" (predictions {shapes_of(prediction)}, targets {shapes_of(y)}, "
            shapes += "for two rows)"
        document.problem(path, f"does not fit the data{shapes}: {own_words(error)}")
    document.raise_problems()
    return prediction


def _check_labels(document, experiment, batch, prediction):
    """Note a label that the model has no output for: its loss would be NaN."""
    if experiment.loss.part.name != "keras.SparseCategoricalCrossentropy":
        return
    if not (keras.ops.is_tensor(prediction) and hasattr(batch[1], "max")):
        return
    classes, highest = prediction.shape[-1], int(batch[1].max())
    if highest >= classes:
        document.problem(
            ("loss",),
            f"the data has the label {highest}, but the model ends in {classes} "
            f"outputs; classes count from 0, so {highest + 1} are needed",
        )
        document.raise_problems()
