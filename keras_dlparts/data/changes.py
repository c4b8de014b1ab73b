"""What is drawn for each training batch of a source: augmentation, binary values.

    x, y = the layers of `transform`, one after the other, called with training=True
    x    = [u < x],  u ~ U(0, 1) for each value                     if it is binarised

All draws are those of (seed, epoch, number of the batch), so that an epoch repeats
exactly, in whatever process it is read.
"""

import keras
import numpy as np

from keras_dlparts import backend
from keras_dlparts.support.messages import own_words

_GIVEN = ("mean", "vocabulary", "bin_boundaries")  # what `adapt` would find


def binary(x, generator):
    """Zeros and ones, one with the chance x; in the dtype of x.

    >>> binary(np.array([0.0, 1.0]), np.random.default_rng(0)).tolist()
    [0.0, 1.0]
    """
    x = np.asarray(x[np.arange(len(x))])
    if not (x.min() >= 0 and x.max() <= 1):
        raise ValueError(
            "`binarize` takes each value for the chance of a one, so values must be in "
            f"[0, 1]. Received: {x.min()} to {x.max()}. Scale the data"
        )
    return (generator.random(x.shape, "float32") < x).astype(x.dtype)


def listed(layers):
    """Layers as a list, those in a `Pipeline` or `Sequential` in its place."""
    found = []
    for layer in layers if isinstance(layers, list | tuple) else [layers]:
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(
                "`transform` must be a layer or a list of layers. "
                f"Received: transform={layers!r}"
            )
        several = isinstance(layer, keras.layers.Pipeline | keras.Sequential)
        found += listed([*layer.layers]) if several else [layer]
    return found


class Change:
    """Changes training batches; the draws are those of seed, epoch and batch number.

    Args:
        layers: `backend.Seeded` layers, called in turn.
        seed: Integer, `>= 0`.
        binarize: Whether x is drawn binary after that.

    Example:

    >>> change = Change([], seed=0, binarize=True)
    >>> change(np.array([[0.0, 1.0]]), None, epoch=0, index=0)
    (array([[0., 1.]]), None)
    """

    def __init__(self, layers, seed, binarize=False):
        self.layers, self.seed, self.binarize = layers, seed, binarize

    def __call__(self, x, y, epoch, index, training=True):
        """x and y of a batch, changed. A y that is x stays x."""
        same, dtype = y is x, x.dtype
        for number, layer in enumerate(self.layers):
            seed = [self.seed, epoch, index, number, 2]
            if same or y is None or not hasattr(layer.layer, "transform_labels"):
                x = layer(x, seed, training)
                continue
            # Layers for images take their targets along under these names.
            name = "labels" if y.ndim < 4 else "segmentation_masks"
            targets = y.astype("float32") if y.dtype.kind == "f" else y
            found = layer({"images": x, name: targets}, seed, training)
            x, new = found["images"], found[name]
            whole = {new.dtype.kind, y.dtype.kind} <= set("iu")
            y = new.astype(y.dtype) if whole or new.dtype.kind == y.dtype.kind else new
        x = _as(dtype, x)
        if self.binarize:
            x = binary(x, np.random.default_rng([self.seed, epoch, index, 1, 1]))
        return x, x if same else y


def _as(dtype, x):
    if dtype.kind in "iu" and x.dtype.kind == "f":
        x = np.rint(x).clip(np.iinfo(dtype).min, np.iinfo(dtype).max)
    return x.astype(dtype)


def built(layers, seed, x, y):
    """Layers as `backend.Seeded`, checked to change training data and nothing else.

    Args:
        layers: A list of layers.
        seed: Integer.
        x, y: A few samples; y may be None.
    """
    names = ", ".join(type(layer).__name__ for layer in layers)
    hint = ""
    if y is not x and y is not None:
        hint = ". Layers that mix samples need one-hot targets of float32"
    found, out = [], x
    try:
        for layer in layers:
            _check_knows(layer)
            out = keras.ops.convert_to_numpy(layer(out))
            if layer.trainable_variables:
                raise _Unfit(
                    "`transform` takes layers that have nothing to learn. Received: a "
                    f"{type(layer).__name__} of {layer.count_params()} weights. Put it "
                    "in the model"
                )
            found.append(backend.Seeded(layer))
        change = Change(found, seed)
        one, again = (change(x, y, 0, 0) for _ in range(2))
        still, _ = change(x, None, 0, 0, training=False)
    except _Unfit:
        raise
    except Exception as error:
        raise _Unfit(
            f"`transform` must take the data. Received: {names}, which raises: "
            f"{own_words(error)}{hint}"
        ) from error
    if not np.array_equal(one[0], again[0], equal_nan=True):
        raise _Unfit(
            "`transform` must draw by seed generators of its own, "
            f"`keras.random.SeedGenerator`, so that a run repeats. Received: {names}, "
            "which draws otherwise"
        )
    _check_kept("samples", names, x, one[0], "")
    if y is not x and y is not None:
        _check_kept("targets", names, y, one[1], hint)
    if still.shape == x.shape and not np.allclose(still, x, 1e-3, 1e-3):
        raise _Unfit(
            "`transform` acts on the training data only, so it must change nothing "
            f"with training=False. Received: {names}, which does. Put what all data "
            "needs in the model"
        )
    return found


class _Unfit(ValueError):
    """What a source's user reads."""


def _check_knows(layer):
    learns = not layer.built and callable(getattr(layer, "adapt", None))
    if learns and all(layer.get_config().get(key) is None for key in _GIVEN):
        raise _Unfit(
            "`transform` takes layers that have nothing to learn. Received: a "
            f"{type(layer).__name__} that has to learn from the data. Put it in the "
            "model, where `train` adapts it, or give it its values"
        )


def _check_kept(what, names, before, after, hint):
    if after.shape != before.shape or after.dtype != before.dtype:
        raise _Unfit(
            f"`transform` must keep the shape and the dtype of the {what}. Received: "
            f"{names}, which makes {after.shape} {after.dtype} of {before.shape} "
            f"{before.dtype}{hint}"
        )
