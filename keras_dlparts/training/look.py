"""Look at a finished run: its metrics on a split, its report written again.

What imports Keras is imported in the functions, after the run's config was loaded,
which names the backend.
"""

import os
from pathlib import Path

from keras_dlparts import report
from keras_dlparts.config.experiment import load
from keras_dlparts.runs import Run


def evaluate(path: str | os.PathLike, split: str = "test") -> dict[str, float]:
    """The metrics of a run's best model on a split of its data.

    Args:
        path: a run directory.
        split: `"test"`, `"validation"` or `"train"`.

    Returns: `{metric: value}`.
    """
    run = Run(path)
    experiment = load(run.config)
    from keras_dlparts.config.assemble import made_without_model

    data, *_ = made_without_model(experiment)
    batches = getattr(data, split)
    if batches is None:
        splits = ("train", "validation", "test")
        there = [name for name in splits if getattr(data, name) is not None]
        raise ValueError(
            f"The data source {experiment.data.part.name} has no split {split!r}. "
            f"Received: split={split!r}. The splits of this data are: "
            f"{', '.join(there)}"
        )
    batches.shuffle = False
    return run.model.evaluate(batches, verbose=0, return_dict=True)


def write_report(path: str | os.PathLike) -> Path:
    """Write a run's report again. The callbacks' figures come from its checkpoint.

    Args:
        path: a run directory.

    Returns: the path of `report.html`.
    """
    run = Run(path)
    experiment = load(run.config)
    from keras_dlparts.config.construct import construct
    from keras_dlparts.training.checkpoint import Checkpoints, restore_callbacks

    callbacks = construct(experiment.document, experiment.callbacks)
    experiment.document.raise_problems()
    saved = Checkpoints(run.path / "checkpoints").newest()
    if saved is not None:
        restore_callbacks(saved, callbacks)
    return report.write(run, with_figures(run.model, callbacks))


def with_figures(model, callbacks):
    """Everything of a run that may offer `figures(run)`, wrapped layers included."""
    from keras_dlparts import graphs

    return [*graphs.layers(model, itself=False), *callbacks]
