"""Weight average: averages of the weights, evaluated beside them and kept at the end.

    ema     a <- momentum a + (1 - momentum) w      after each `every` steps
    sma     the mean of the last `window` of those weights
    tail    the mean of all of them since `start`
    swa     the mean of those at the end of each `every` epochs since `start`

The averages are made in the compiled step, by `optimizers.Averaged`. Moving averages of
batch normalizations belong to other weights: they are computed anew from the training
data before the averages are used. Shapes: as the weights.
Polyak & Juditsky 1992, "Acceleration of stochastic approximation by averaging".
Izmailov et al. 2018, "Averaging weights leads to wider optima and better
generalization", arXiv:1803.05407.
"""

import contextlib
import dataclasses
import math
import warnings
from typing import Any, Literal

import numpy as np

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.callbacks.data_callback import DataCallback
from keras_dlparts.data.source import Source
from keras_dlparts.optimizers.averaged import Averaged
from keras_dlparts.optimizers.wrapping import wrap_of
from keras_dlparts.support.checks import check_count, check_number, check_word
from keras_dlparts.surgery.population import recalibrate as recalibrated
from keras_dlparts.surgery.population import recalibrated_in

CASES = {"WeightAverage": ({"arguments": {"kind": "tail", "final": "weights"}},)}
KINDS = ("ema", "sma", "swa", "tail")


class WeightAverage(DataCallback):
    """Averages a model's weights as it trains, and keeps the averages at the end.

    Works with any optimizer: it makes it an `Averaged`, which is what a saved model
    holds. The training itself stays as it is. After each epoch the averages are
    evaluated on the validation data, and the logs get `average_val_loss` and so on
    beside `val_loss`. In a run of `dlparts train` the one that is better is saved as
    `best.keras`, and resuming goes on with the same averages.

    Keras' own `use_ema` with `SwapEMAWeights` is the kind `"ema"` without a start, a
    frequency and statistics of batch normalizations.

    Args:
        kind: `"ema"`, `"sma"`, `"swa"` or `"tail"`; see above.
        start: Integer, `>= 0`: steps before the first that counts, of `"swa"` epochs;
            or a float, `0 <= start < 1`, the share of the training that is left out,
            of the epochs from `initial_epoch` on. A training that ends before the
            first weights that count gets a warning, and keeps its weights.
        every: Integer, `>= 1`. Steps from one that counts to the next, of `"swa"`
            epochs. Of an optimizer that accumulates gradients, these must have a
            multiple of as many steps.
        momentum: Float, `0 <= momentum < 1`, of `"ema"`.
        window: Integer, `>= 1`, of `"sma"`, which keeps as many copies of the weights.
        recalibrate: Integer, `>= 0`. From how many batches of training data the
            statistics of batch normalizations are computed for the averages; with 0
            they stay those of the training.
        final: What the model has when training ends: `"average"` or `"weights"`.
        data: Training data for `recalibrate`, where the model has batch normalizations:
            an iterable of batches as `fit` takes it, a batch, or a data source. None
            for the run's, which `dlparts train` hands over and a plain `fit` does not.
        validation_data: What the averages are evaluated on, as `fit` takes it. None for
            that of the run, which a plain `fit` does not hand over.

    Example:

    >>> import keras
    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((8, 3), "float32"), np.ones((8, 1), "float32")
    >>> average = WeightAverage("tail", start=0.5, validation_data=(x, y))
    >>> sorted(model.fit(x, y, epochs=4, verbose=0, callbacks=[average]).history)
    ['average_val_loss', 'loss']
    """

    def __init__(
        self,
        kind: Literal["ema", "sma", "swa", "tail"] = "ema",
        start: int | float = 0,
        every: int = 1,
        momentum: float = 0.999,
        window: int = 10,
        recalibrate: int = 100,
        final: Literal["average", "weights"] = "average",
        data: Source | Any | None = None,
        validation_data: Any | None = None,
    ):
        super().__init__(data)
        check_word("kind", kind, KINDS)
        check_word("final", final, ("average", "weights"))
        if isinstance(start, float):
            check_number("start", start, least=0, below=1)
        else:
            check_count("start", start, least=0)
        self.kind = kind
        self.start = start
        self.every = check_count("every", every)
        self.momentum = momentum
        self.window = window
        self.recalibrate = check_count("recalibrate", recalibrate, least=0)
        self.final = final
        self.validation_data = validation_data
        self._new_optimizer("sgd")  # it checks the other arguments
        self._handed_over = self._kept = None

    def _new_optimizer(self, optimizer):
        kind = "tail" if self.kind == "swa" else self.kind
        some = {"momentum": self.momentum, "window": self.window}
        return Averaged(optimizer, kind, **some)

    @property
    def columns(self):
        """What it adds to the logs; None where the metrics are not known."""
        if self.model is None:
            return None
        return [f"average_val_{name}" for name in self.model.get_metrics_result()]

    def set_model(self, model):
        super().set_model(model)
        # Here and not in `on_train_begin`: `fit` has made its train function by then,
        # and that holds the optimizer.
        if getattr(model, "optimizer", None) is not None:
            self.optimizer = wrap_of(model, Averaged, self._new_optimizer)
        # A checkpoint keeps this: a run that goes on averages from where it began to.
        self._first = None

    def set_validation(self, data):
        """What the run's `fit` validates on; called before training."""
        self._handed_over = data

    def on_train_begin(self, logs=None):
        self._kept = None
        self._norms = recalibrated_in(self.model) if self.recalibrate else []
        if self._norms:
            super().on_train_begin(logs)
        if self.model.built:  # on TensorFlow the first step may build both
            backend.build_optimizer(self.model)
        if self.params is not None:  # `dlparts check` begins no training
            self._in_steps(epoch=0)  # it refuses what cannot be known

    def on_epoch_begin(self, epoch, logs=None):
        # Nothing tells before with which epoch `fit` begins.
        if self._first is None:
            start, every = self._in_steps(epoch)
            start += int(backend.number(self.optimizer.iterations))
            self.optimizer.take_from(start, every)
            self._first = start + every

    def _in_steps(self, epoch):
        """(start, every) in steps of the optimizer, of a training from an epoch on."""
        share = isinstance(self.start, float)
        if not share and self.kind != "swa":
            return self.start, self.every
        steps = self.params.get("steps")
        if steps is None:
            raise ValueError(
                "How many steps an epoch has must be known for kind='swa' and for a "
                "start as a share. Received: data of unknown length; give `fit` "
                "steps_per_epoch, or take another kind with a start in steps"
            )
        # The optimizer steps once for so many steps of the training.
        accumulated = self.optimizer.gradient_accumulation_steps or 1
        if share:
            start = int(self.start * steps * (self.params.get("epochs", 1) - epoch))
        else:
            start = self.start * steps
        if self.kind != "swa":
            return start // accumulated, self.every
        if share:  # of whole epochs, at whose end the optimizer steps
            start -= start % math.lcm(steps, accumulated)
        every = self.every * steps
        if start % accumulated or every % accumulated:
            raise ValueError(
                "kind='swa' takes the weights at the end of epochs, where the "
                f"optimizer must step. Received: start={self.start} and every="
                f"{self.every} with steps={steps} an epoch and "
                f"gradient_accumulation_steps={accumulated}; choose `every`, "
                f"and `start`, so that their steps are a multiple of {accumulated}, or "
                "take kind='tail'"
            )
        return start // accumulated, every // accumulated

    @contextlib.contextmanager
    def averaged(self):
        """A context in which the model has the averages and is the model they make."""
        backend.up_to_date(self.model)
        variables = self._variables()
        before = [v.numpy() for v in variables]
        try:
            self._put_in(variables)
            yield
        finally:
            backend.assign(variables, before)

    def _variables(self):
        """Those that differ between the weights and the averages."""
        moving = [v for norm in self._norms for v in norm.non_trainable_variables]
        return [*keras_private.trained_by(self.optimizer), *moving]

    def _put_in(self, variables):
        count = self.optimizer.count
        if self._kept is not None and self._kept.count == count:
            backend.assign(variables, self._kept.values)
            return
        averages = self.optimizer.averages()
        backend.assign(variables[: len(averages)], averages)
        if self._norms:
            batches = (self.batch(i) for i in range(self.recalibrate))
            recalibrated(self.model, batches)
        self._kept = _Kept(count, [v.numpy() for v in variables])

    def on_epoch_end(self, epoch, logs=None):
        data = self.validation_data
        if data is None and any(name.startswith("val_") for name in logs or ()):
            data = self._handed_over
        if logs is None or data is None or not self.optimizer.count:
            return
        given = data if isinstance(data, tuple) else (data,)
        with self.averaged():
            found = self.model.evaluate(*given, verbose=0, return_dict=True)
        logs.update({f"average_val_{name}": value for name, value in found.items()})

    def on_train_end(self, logs=None):
        if not self.optimizer.count:
            steps = int(backend.number(self.optimizer.iterations))
            warnings.warn(
                "`WeightAverage` has averaged nothing, and the model keeps its "
                f"weights: training ended at step {steps} of the optimizer, and the "
                f"first weights that count are those of step {self._first}. Choose an "
                "earlier `start`, or train for longer",
                stacklevel=2,
            )
        elif self.final == "average":
            backend.up_to_date(self.model)
            self._put_in(self._variables())


@dataclasses.dataclass
class _Kept:
    """The averages and their statistics after so many snapshots."""

    count: int
    values: list[np.ndarray]
