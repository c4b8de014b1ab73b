"""Look at a finished run: its metrics on a split, its report written again.

What imports Keras is imported in the functions, after the run's config was loaded,
which names the backend.
"""

import os
from pathlib import Path
from typing import Any

from keras_dlparts import report
from keras_dlparts.config.calls import Noted
from keras_dlparts.config.experiment import load
from keras_dlparts.runs import Run


def evaluate(
    path: str | os.PathLike, split: str = "test", data: Any = None
) -> dict[str, float]:
    """The metrics of a run's best model on a split of its data, or on data given here.

    Args:
        path: a run directory.
        split: `"test"`, `"validation"` or `"train"`.
        data: what to evaluate on in place of a split, as `train` takes it. A run of
            data that was given in Python needs it: its directory does not hold it.

    Returns: `{metric: value}`.
    """
    run = Run(path)
    if data is not None:
        load(run.config)  # which names the backend
        from keras_dlparts.data.own import validation_of

        return run.model.evaluate(validation_of(data), verbose=0, return_dict=True)
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
    return run.model.evaluate(batches.still(), verbose=0, return_dict=True)


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

    calls = experiment.callbacks
    # A callback that was an object of Python cannot be made again.
    kept = [i for i, call in enumerate(calls) if not isinstance(call, Noted)]
    callbacks = construct(experiment.document, [calls[i] for i in kept])
    experiment.document.raise_problems()
    saved = Checkpoints(run.path / "checkpoints").newest()
    if saved is not None:
        manifest, arrays = saved
        states = [manifest["callbacks"][i] for i in kept]
        restore_callbacks((manifest | {"callbacks": states}, arrays), callbacks)
    return report.write(run, _with_figures_of(run, callbacks))


def _with_figures_of(run, callbacks):
    try:
        return with_figures(run.model, callbacks)
    except (FileNotFoundError, ValueError):
        if "object" not in run.config["model"]:
            raise
        # A model of the user's own class may not load here; the rest can be shown.
        return callbacks


def with_figures(model, callbacks):
    """Everything of a run that may offer `figures(run)`, wrapped layers included."""
    from keras_dlparts import graphs

    return [*graphs.layers(model), *callbacks]
