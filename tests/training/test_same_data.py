"""What is noted of data: other data is known, and the last bits are no other data."""

import json
import re

import numpy as np
import pytest

from keras_dlparts.data.batches import Batches
from keras_dlparts.training import same_data
from keras_dlparts.training.same_data import described, difference


class Data:
    """A source with what `described` looks at."""

    def __init__(self, x, y=None, rows=None):
        self.train, self.validation = Batches(x, y, rows=rows), None


X = np.random.default_rng(0).normal(size=(300, 4)).astype("float32")
Y = np.arange(300) % 3


def noted(*arguments, **options):
    """As a checkpoint gives it back."""
    return json.loads(json.dumps(described(Data(*arguments, **options))))


def changed(x, place, by):
    x = x.copy()
    x[place] += by
    return x


SAME = {
    "equal": (X.copy(), Y.copy()),
    "last bits": (np.nextafter(X, np.float32(9)), Y),
}
OTHER = {
    "fewer": ((X[:200], Y[:200]), "train x had 300 samples, and has 200 now"),
    "shape": ((X[:, :3], Y), r"train x had the shape \[4\], and has \[3\] now"),
    "dtype": ((X.astype("float64"), Y), "the dtype float32, and has float64 now"),
    "a value": ((changed(X, (150, 2), 0.01), Y), "train x has other values"),
    "a label": ((X, changed(Y, 299, 1)), "train y has other values"),
    "the order": ((X[::-1], Y), "train x has other values"),
    "two samples": ((X[[1, 0, *range(2, 300)]], Y), "train x has other values"),
    "no targets": ((X,), "train y was there, and is not now"),
    "a dict": (({"a": X}, Y), "train x was there, and is not now"),
    "an infinity": ((changed(X, (7, 0), np.inf), Y), "train x has other values"),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_data(name):
    assert difference(noted(X, Y), noted(*SAME[name])) is None


@pytest.mark.parametrize("name", OTHER)
def test_other_data(name):
    arrays, words = OTHER[name]
    found = difference(noted(X, Y), noted(*arrays))
    assert re.search(words, found or "the same")


def test_what_was_not_there_before():
    assert difference(noted(X), noted(X, Y)) == "train y is there, and was not before"


@pytest.mark.parametrize(
    "x", [np.array(["a", "b"] * 5), np.arange(10) % 2 == 0, np.arange(10) * 1j]
)
def test_text_truth_and_complex_numbers(x):
    assert difference(noted(x), noted(x.copy())) is None
    assert difference(noted(x), noted(x[::-1])) == "train x has other values"


def test_of_a_large_array_a_part_is_read(monkeypatch):
    monkeypatch.setattr(same_data, "_MOST_BYTES", 10 * X[0].nbytes)
    places = np.linspace(0, 299, 10).astype(int)
    read, unread = places[4], places[4] + 1
    assert difference(noted(X), noted(changed(X, read, 1.0))) is not None
    assert difference(noted(X), noted(changed(X, unread, 1.0))) is None
    assert noted(X)["train"]["x"]["samples"] == 300


def test_only_the_rows_that_are_used_count():
    rows = np.arange(0, 300, 2)
    ours = noted(X, rows=rows)
    assert difference(ours, noted(changed(X, 1, 1.0), rows=rows)) is None
    assert difference(ours, noted(changed(X, 2, 1.0), rows=rows)) is not None
