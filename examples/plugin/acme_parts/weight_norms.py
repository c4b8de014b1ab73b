"""Weight norms: how large the weights of a model are, an epoch at a time.

    n_w = sqrt(sum_i w_i^2)        of each trainable weight w
    n   = sqrt(sum_w n_w^2)        of all of them together

A norm that keeps growing asks for weight decay; one that shrinks, for less of it.
"""

import keras
import numpy as np


def norm(w):
    """The L2 norm of an array, in float64."""
    return float(np.sqrt(np.sum(np.square(w, dtype="float64"))))


class WeightNorms(keras.callbacks.Callback):
    """Logs the L2 norm of all trainable weights, and draws that of each.

    After each epoch the norm of all of them goes into the logs as `weight_norm`; so
    it stands in the history too. The report shows a line for each weight.

    Attributes:
        norms: Path of a weight -> list of norms, one an epoch.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> x = np.ones((4, 2))
    >>> history = model.fit(x, x[:, :1], callbacks=[WeightNorms()], verbose=0)
    >>> len(history.history["weight_norm"])
    1
    """

    def __init__(self):
        super().__init__()
        # Plain numbers, lists and dicts are kept in checkpoints and come back when a
        # run is resumed or its report written again.
        self.norms = {}

    def on_epoch_end(self, epoch, logs=None):
        now = {
            w.path: norm(keras.ops.convert_to_numpy(w))
            for w in self.model.trainable_variables
        }
        for path, value in now.items():
            self.norms.setdefault(path, []).append(value)
        if logs is not None:
            logs["weight_norm"] = norm([*now.values()])

    def figures(self, run):
        """A section of the report of `run`."""
        from matplotlib.figure import Figure  # heavy, and of use only here

        figure = Figure(figsize=(6, 3.5), layout="constrained")
        axes = figure.subplots()
        for path, values in self.norms.items():
            axes.plot(range(1, len(values) + 1), values, label=path)
        axes.set_xlabel("epoch")
        axes.set_ylabel("L2 norm")
        figure.legend(loc="outside right upper", fontsize="small")
        return {"Norm of each weight": figure}
