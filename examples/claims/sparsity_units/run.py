"""LeNet-300-100 without whole units: its error and its products after `compact`."""

import math

from examples.claims.sparsity.run import trained
from keras_dlparts import compact

_WHOLE = 784 * 300 + 300 * 100 + 100 * 10


def run(seed, data, **settings):
    """The error in % of the compacted net, and how many times fewer products it has."""
    model, x, y = trained(seed, data, **settings)
    small = compact(model)
    told = small.predict(x, batch_size=256, verbose=0).argmax(-1)
    dense = [layer for layer in small.layers if hasattr(layer, "units")]
    return {
        "error": 100 * float((told != y).mean()),
        "fewer": _WHOLE / sum(math.prod(layer.kernel.shape) for layer in dense),
        "units": [layer.units for layer in dense],
    }
