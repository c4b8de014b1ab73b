"""A part of a data set: `samples`, `balanced`, `train_all`; `validation: test`."""

import numpy as np
import pytest

from keras_dlparts.data import Digits, Source, Spirals, Splits
from keras_dlparts.data.choosing import balanced

# 5 of class 0, 10 of class 1, 25 of class 2; x is the row's number.
Y = np.repeat([0, 1, 2], [5, 10, 25])


class Given(Source):
    def __init__(self, y=Y, more=None, **arguments):
        super().__init__(**arguments)
        self.y, self.more = y, more or {}

    def load(self):
        n = 40 if self.y is None else len(self.y)
        return Splits((np.arange(n), self.y), **self.more)


def rows(batches):
    return batches.arrays()[0].tolist()


def counts(batches):
    return np.bincount(batches.arrays()[1], minlength=3).tolist()


def test_more_samples_contain_the_fewer():
    few, many = (Given(samples=n, validation_split=0, seed=1).train for n in (10, 30))
    assert len(rows(few)) == 10
    assert rows(few) == sorted({*rows(few)})
    assert {*rows(few)} < {*rows(many)}
    assert rows(few) == rows(Given(samples=10, validation_split=0, seed=1).train)
    assert rows(few) != rows(Given(samples=10, validation_split=0, seed=2).train)


def test_the_share_to_validate_on_is_cut_off_the_samples():
    source = Given(samples=20, validation_split=0.25, seed=1)
    train, held = rows(source.train), rows(source.validation)
    assert (len(train), len(held)) == (15, 5)
    assert not {*train} & {*held}
    whole = Given(samples=20, validation_split=0, seed=1)
    assert sorted(train + held) == rows(whole.train)
    everything = rows(source.train_all)
    assert everything == [row for row in range(40) if row not in held]
    assert source.train_all.shuffle
    plain = Given()
    assert plain.train_all is plain.train


@pytest.mark.parametrize("y", [Y, Y[:, None], np.eye(3)[Y], Y.astype("float32")])
def test_balanced(y):
    for samples, want in ((6, [2, 2, 2]), (15, [5, 5, 5]), (17, [5, 6, 6])):
        train = Given(y, samples=samples, balanced=True, validation_split=0).train
        assert np.bincount(Y[rows(train)]).tolist() == want
    few, many = (
        Given(y, samples=n, balanced=True, validation_split=0).train for n in (4, 9)
    )
    assert {*rows(few)} < {*rows(many)}


def test_both_parts_of_a_balanced_choice_are_balanced():
    source = Given(samples=12, balanced=True, validation_split=0.25)
    assert counts(source.train) == [3, 3, 3]
    assert counts(source.validation) == [1, 1, 1]
    few, more = (
        Given(samples=n, balanced=True, validation_split=0.25) for n in (6, 15)
    )
    assert {*rows(few.train)} < {*rows(more.train)}


def test_the_permutation_by_turns():
    """Derived by hand: the first of each class in the permutation, then the second."""

    class Order:
        def permutation(self, count):
            return np.array([3, 0, 4, 1, 2])

    labels = np.array([1, 1, 1, 0, 0])  # in that order: 0 1 0 1 1
    assert balanced(labels, 5, Order()).tolist() == [3, 0, 4, 1, 2]
    labels = np.array([0, 0, 1, 1, 0])  # in that order: 1 0 0 0 1
    assert balanced(labels, 5, Order()).tolist() == [0, 3, 4, 2, 1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"samples": 0}, ValueError, "`samples` must be at least 1. Received: .*=0"),
        ({"samples": 1.5}, TypeError, "`samples` must be an integer"),
        ({"samples": 41}, ValueError, "at most the 40 training samples.*samples=41"),
        ({"samples": 1}, ValueError, "must leave samples to train on.*of 1 samples"),
        ({"balanced": True}, ValueError, "without samples. Say how many"),
        ({"balanced": "yes"}, TypeError, "`balanced` must be True or False"),
        (
            {"samples": 2, "balanced": True},
            ValueError,
            "at least one for each of the 3 classes.*samples=2",
        ),
        (
            {"samples": 18, "balanced": True},
            ValueError,
            "class 0 has 5 samples, and 6 are needed of each of 3.*Lower it to 15",
        ),
        (
            {"samples": 9, "balanced": True, "y": None},
            ValueError,
            "`balanced` needs targets.*Received: no targets",
        ),
        (
            {"samples": 9, "balanced": True, "y": Y + 0.5},
            ValueError,
            r"targets of shape \(\) that are no whole numbers",
        ),
        (
            {"samples": 9, "balanced": True, "y": np.zeros((40, 2, 2))},
            ValueError,
            r"targets of shape \(2, 2\)",
        ),
        ({"validation": "train"}, ValueError, "`validation` must be one of 'test'"),
        ({"validation": "test"}, ValueError, "a source with no test data"),
        (
            {"validation": "test", "more": {"validation": (Y, Y), "test": (Y, Y)}},
            ValueError,
            "a source with validation data of its own",
        ),
    ],
)
def test_bad_choices(arguments, error, message):
    with pytest.raises(error, match=message):
        _ = Given(**arguments).train


def test_validation_by_the_test_data():
    source = Digits(validation="test")
    assert len(source.train.rows) == 1500
    for ours, theirs in zip(
        source.validation.arrays(), source.test.arrays(), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_made_data_keeps_its_own_word():
    """`samples` of a source that makes its data says how many it makes."""
    source = Spirals(samples=40, validation_split=0.25)
    assert len(source.train.rows) == 30
    assert source.train_all is source.train
