"""A config -> a run. Reading a run imports no backend; training does."""

from typing import TYPE_CHECKING

from keras_dlparts.runs import Run as Run
from keras_dlparts.support import lazy

if TYPE_CHECKING:
    from keras_dlparts.training.chunks import many_steps as many_steps
    from keras_dlparts.training.errors import NonFiniteError as NonFiniteError
    from keras_dlparts.training.look import evaluate as evaluate
    from keras_dlparts.training.look import write_report as write_report
    from keras_dlparts.training.loop import train as train
else:
    __getattr__, __dir__, __all__ = lazy.attach(
        __name__,
        {
            "NonFiniteError": "errors",
            "evaluate": "look",
            "many_steps": "chunks",
            "train": "loop",
            "write_report": "look",
        },
    )
