"""Whether a run goes on with the data that it began with.

Of each array that trains or validates: how many samples, their shape and dtype, and

    S_k = sum over the values x_i of part k of w_i x_i      k = 1 .. 16

with weights w_i that are fixed numbers between 1/2 and 3/2, so that an exchange of two
samples is seen too. Of an array larger than 32 MiB only evenly spaced samples are read,
as many as fit in there. Two arrays are the same where the S_k agree to 1e-6 of the sum
of |w_i x_i|: data that is computed, not read, may differ in its last bits on another
processor, and that is no other data.

So a change of shape is always seen, and a change of values where it is read and larger
than 1e-6 of its part: not a last bit, and not a sample between those that are read.
"""

import zlib

import numpy as np

from keras_dlparts.data.batches import Batches

_PARTS = 16
_MOST_BYTES = 32 * 2**20
_TOLERANCE = 1e-6


def described(data):
    """What is noted of a data source, as plain values; None for what is no `Batches`.

    Args:
        data: A `Source`.

    Example:

    >>> from keras_dlparts.data import Spirals
    >>> found = described(Spirals(samples=60, validation_split=0.2))
    >>> found["train"]["x"]["samples"], found["validation"]["y"]["dtype"]
    (48, 'int32')
    """
    splits = {"train": data.train, "validation": data.validation}
    return {
        name: {
            label: _array(array, split.rows)
            for label, array in _named(
                x=split.x, y=split.y, sample_weight=split.sample_weight
            )
        }
        for name, split in splits.items()
        if isinstance(split, Batches)
    }


def difference(before, now):
    """What differs between two descriptions, in words; None where they agree.

    >>> from keras_dlparts.data import Spirals
    >>> before, now = (described(Spirals(samples=n)) for n in (60, 90))
    >>> difference(before, before)
    >>> difference(before, now)
    'train x had 54 samples, and has 81 now'
    """
    arrays = [
        {f"{split} {label}": a for split, of in said.items() for label, a in of.items()}
        for said in (before, now)
    ]
    for name in dict.fromkeys([*arrays[0], *arrays[1]]):
        had, has = (found.get(name) for found in arrays)
        if had is None or has is None:
            there, gone = ("is", "was not") if had is None else ("was", "is not")
            return (
                f"{name} {there} there, and {gone} {'before' if had is None else 'now'}"
            )
        for key, words in (("shape", "shape"), ("dtype", "dtype")):
            if had[key] != has[key]:
                return f"{name} had the {words} {had[key]}, and has {has[key]} now"
        if had["samples"] != has["samples"]:
            return f"{name} had {had['samples']} samples, and has {has['samples']} now"
        for (sum_before, size_before), (sum_now, size_now) in zip(
            had["sums"], has["sums"], strict=True
        ):
            if abs(sum_now - sum_before) > _TOLERANCE * max(size_before, size_now):
                return f"{name} has other values"
    return None


def _named(**pair):
    """(label, array) of the arrays of a split, with its place in dicts and lists."""
    for label, arrays in pair.items():
        if isinstance(arrays, list | tuple):
            arrays = dict(enumerate(arrays))
        if isinstance(arrays, dict):
            for name, array in arrays.items():
                yield from _named(**{f"{label}[{name}]": array})
        elif arrays is not None:
            yield label, arrays


def _array(array, rows):
    samples, first = len(rows), np.asarray(array[rows[:1]])
    most = max(1, _MOST_BYTES // max(first.nbytes, 1))
    if samples > most:
        rows = rows[np.linspace(0, samples - 1, most).astype(int)]
    values = np.asarray(array[rows])
    return {
        "samples": samples,
        "shape": list(first.shape[1:]),
        "dtype": first.dtype.name,
        "sums": [_sums(part) for part in np.array_split(values, _PARTS)],
    }


def _sums(values):
    """(sum of w_i x_i, sum of |w_i x_i|) of an array."""
    if values.dtype.kind == "c":
        values = np.stack([values.real, values.imag])
    if values.dtype.kind not in "biuf":  # text and the like
        return [float(zlib.crc32(np.ascontiguousarray(values).tobytes())), 0.0]
    flat = np.nan_to_num(values.ravel().astype("float64"), posinf=0.0, neginf=0.0)
    # The golden ratio's multiples modulo 1: spread evenly, equal on every machine.
    weighted = flat * (0.5 + np.arange(flat.size) * 0.6180339887498949 % 1)
    return [float(weighted.sum()), float(np.abs(weighted).sum())]
