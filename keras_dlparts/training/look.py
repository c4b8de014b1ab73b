"""Look at a finished run: its metrics on a split, its report written again."""

from keras_dlparts import report
from keras_dlparts.config.assemble import assemble
from keras_dlparts.config.experiment import load
from keras_dlparts.runs import Run
from keras_dlparts.training.checkpoint import Checkpoints, restore_callbacks
from keras_dlparts.training.loop import with_figures


def evaluate(path, split="test"):
    """The metrics of a run's best model on a split of its data.

    Args:
        path: a run directory.
        split: `"test"`, `"validation"` or `"train"`.

    Returns: `{metric: value}`.
    """
    run = Run(path)
    experiment = load(run.config)
    made = assemble(experiment)
    batches = getattr(made.data, split)
    if batches is None:
        raise ValueError(
            f"The data source {experiment.data.part.name} has no split {split!r}."
        )
    batches.shuffle = False
    return run.model.evaluate(batches, verbose=0, return_dict=True)


def write_report(path):
    """Write a run's report again. The callbacks' figures come from its checkpoint.

    Args:
        path: a run directory.

    Returns: the path of `report.html`.
    """
    run = Run(path)
    made = assemble(load(run.config))
    saved = Checkpoints(run.path / "checkpoints").newest()
    if saved is not None:
        restore_callbacks(saved, made.callbacks)
    return report.write(run, with_figures(run.model, made.callbacks))
