"""Mode coverage: how many modes of a made mixture a generator's samples reach.

    a sample is of high quality   min_i ||x - mean_i|| <= within * deviation
    it belongs to                 the nearest mode
    modes                         how many modes have a sample of high quality
    high_quality                  the share of samples that are

Shapes: y_true of any, it is not looked at; y_pred (batch, 2) -> a scalar. The count
grows with the number of samples: the literature takes 2500.
Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761; Lin et al. 2018 (PacGAN),
arXiv:1712.04086.
"""

from typing import Literal

import keras
from keras import ops

from keras_dlparts.support.checks import check_number, check_word
from keras_dlparts.support.mixtures import centres, deviation_of

CASES = {"ModeCoverage": ({"arguments": {}, "input_shape": (8, 2)},)}


def high_quality(x, means, radius):
    """(whether each sample is near a mode, which mode is nearest)."""
    gaps = ops.expand_dims(x, 1) - ops.expand_dims(means, 0)
    squares = ops.sum(ops.square(gaps), axis=-1)
    return ops.min(squares, axis=1) <= radius**2, ops.argmin(squares, axis=1)


@keras.saving.register_keras_serializable("dlparts")
class ModeCoverage(keras.metrics.Metric):
    """Counts the modes of `data.Gaussians` that samples reach.

    Give it to `models.GAN` as one of its `sample_metrics`, or tell it samples:

    Args:
        arrangement: `"ring"` or `"grid"`, as of the data.
        modes: As of the data.
        deviation: As of the data.
        within: Float, `> 0`. How many standard deviations from its mode a sample of
            high quality may be.
        measure: `"modes"`, how many modes are reached, or `"high_quality"`, the share
            of samples that are of high quality.
        name: Optional name. None: that of the measure.

    Example:

    >>> metric = ModeCoverage("ring")
    >>> metric.update_state(None, [[1.0, 0.0], [1.0, 0.01], [0.0, 0.0]])
    >>> float(metric.result())
    1.0
    """

    def __init__(
        self,
        arrangement: Literal["ring", "grid"] = "ring",
        modes: int | None = None,
        deviation: float | None = None,
        within: float = 3.0,
        measure: Literal["modes", "high_quality"] = "modes",
        name: str | None = None,
        **kwargs,
    ):
        check_word("measure", measure, ("modes", "high_quality"))
        super().__init__(name=measure if name is None else name, **kwargs)
        self.means = centres(arrangement, modes).astype("float32")
        self.arrangement = arrangement
        self.modes = modes
        self.deviation = deviation
        self.radius = deviation_of(arrangement, deviation) * check_number(
            "within", within, above=0
        )
        self.within = within
        self.measure = measure
        self.reached = self.add_variable(
            (len(self.means),), "zeros", "float32", name="reached"
        )
        self.samples = self.add_variable((), "zeros", "float32", name="samples")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Count samples `y_pred`."""
        x = ops.cast(ops.convert_to_tensor(y_pred), "float32")
        if len(x.shape) != 2 or x.shape[1] != 2:
            raise ValueError(
                "`ModeCoverage` counts points of the plane, of shape (batch, 2). "
                f"Received: shape {tuple(x.shape)}"
            )
        near, mode = high_quality(x, ops.convert_to_tensor(self.means), self.radius)
        count = ops.one_hot(mode, len(self.means), dtype="float32")
        count = ops.sum(count * ops.cast(near, "float32")[:, None], axis=0)
        self.reached.assign_add(count)
        self.samples.assign_add(ops.cast(ops.shape(x)[0], "float32"))

    def result(self):
        if self.measure == "modes":
            return ops.sum(ops.cast(self.reached > 0, "float32"))
        share = ops.sum(self.reached) / ops.maximum(self.samples, 1.0)
        return ops.cast(share, "float32")

    def get_config(self):
        return {
            **super().get_config(),
            "arrangement": self.arrangement,
            "modes": self.modes,
            "deviation": self.deviation,
            "within": self.within,
            "measure": self.measure,
        }
