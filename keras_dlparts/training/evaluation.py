"""What `dlparts evaluate` measured of a run: `evaluation.json`, and the page with it.

Training does not do this by itself at its end. A test set answers one question, how
good the chosen model is; a figure of it beside each run invites choosing by it, after
which it answers nothing. So it is measured when somebody asks.
"""

import os
import time

from keras_dlparts.runs import Run
from keras_dlparts.support.files import write_json
from keras_dlparts.training.look import write_report


def record(path: str | os.PathLike, split: str, metrics: dict[str, float]) -> None:
    """Note the metrics of a run's kept weights on a split, and write its page again.

    Args:
        path: The run directory.
        split: Which data they were measured on.
        metrics: `{metric: value}`, as `evaluate` returns.

    Raises:
        OSError: the run directory cannot be written to.
    """
    run = Run(path)
    best = run.best()
    row = {
        "metrics": {name: float(value) for name, value in metrics.items()},
        "epoch": best[1] + 1 if best else None,
        "evaluated": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write_json(run.path / "evaluation.json", {**run.evaluation, split: row})
    write_report(path)
