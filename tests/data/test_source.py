import numpy as np
import pytest

from keras_dlparts.data import Source, Spec, Splits


def source(splits, **arguments):
    class Given(Source):
        loads = 0

        def load(self):
            self.loads += 1
            return splits

    return Given(**arguments)


def pair(n, width=2):
    return np.arange(n * width, dtype="float32").reshape(n, width), np.arange(n)


def test_validation_is_cut_off_and_repeats():
    one = source(Splits(pair(20)), validation_split=0.25, seed=4)
    train, validation = one.train.arrays()[1], one.validation.arrays()[1]
    assert len(validation) == 5
    assert sorted([*train, *validation]) == list(range(20))
    again = source(Splits(pair(20)), validation_split=0.25, seed=4, batch_size=3)
    assert again.validation.arrays()[1].tolist() == validation.tolist()
    other = source(Splits(pair(20)), validation_split=0.25, seed=5)
    assert other.validation.arrays()[1].tolist() != validation.tolist()
    assert one.test is None


def test_given_validation_is_kept():
    one = source(Splits(pair(6), validation=pair(3), test=pair(4)))
    assert len(one.train.arrays()[0]) == 6
    assert one.validation.arrays()[1].tolist() == [0, 1, 2]
    assert one.test.arrays()[1].tolist() == [0, 1, 2, 3]


def test_shuffling_belongs_to_training_alone():
    one = source(Splits(pair(40), test=pair(9)), batch_size=40, seed=2)
    assert one.train.shuffle
    assert not one.validation.shuffle
    assert not one.test.shuffle
    assert not source(Splits(pair(9)), shuffle=False).train.shuffle
    assert one.train.seed == 2


def test_loads_once_and_late():
    one = source(Splits(pair(6)))
    assert one.loads == 0
    assert one.train is one.train
    assert one.element_spec == (Spec((2,), "float32"), Spec((), "int64"))
    assert one.validation is one.validation
    assert one.loads == 1


def test_dict_and_missing_targets():
    x = {"a": np.zeros((5, 3)), "b": np.zeros(5, "int32")}
    one = source(Splits((x, None)), validation_split=0.2)
    assert one.element_spec == (
        {"a": Spec((3,), "float64"), "b": Spec((), "int32")},
        None,
    )
    ((batch,), *_) = one.train
    assert batch["a"].shape == (4, 3)


def test_the_inputs_as_targets():
    one = source(Splits(pair(5), test=pair(3)), targets="inputs", shuffle=False)
    assert one.element_spec[0] == one.element_spec[1]
    for x, y in [*one.train, *one.validation, *one.test]:
        np.testing.assert_array_equal(x, y)
        assert x.shape[1:] == pair(1)[0].shape[1:]


def test_no_validation():
    one = source(Splits(pair(5)), validation_split=0)
    assert one.validation is None
    assert len(one.train.arrays()[0]) == 5
    # The least share is still one sample.
    tiny = source(Splits(pair(5)), validation_split=1e-9)
    assert len(tiny.validation.arrays()[0]) == 1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"batch_size": 0},
            ValueError,
            "`batch_size` must be at least 1. Received: .*=0",
        ),
        ({"batch_size": 2.0}, TypeError, "`batch_size` must be an integer"),
        ({"batch_size": True}, TypeError, "`batch_size` must be an integer"),
        ({"shuffle": 1}, TypeError, "`shuffle` must be True or False"),
        ({"validation_split": 1}, ValueError, "less than 1. Received: .*=1"),
        ({"validation_split": -0.1}, ValueError, "at least 0, less than 1"),
        ({"validation_split": float("nan")}, ValueError, "at least 0, less than 1"),
        ({"validation_split": "0.1"}, TypeError, "must be a finite number"),
        ({"seed": -1}, ValueError, "`seed` must be at least 0"),
        ({"seed": None}, TypeError, "`seed` must be an integer"),
        ({"targets": "labels"}, ValueError, "`targets` must be one of 'inputs'"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        source(Splits(pair(3)), **arguments)


@pytest.mark.parametrize(
    ("splits", "error", "message"),
    [
        (pair(3), TypeError, "must return `Splits`"),
        (Splits((pair(3)[0], np.arange(2))), ValueError, "3 in x and 2 in y"),
        (Splits((np.zeros((0, 2)), None)), ValueError, "an empty x"),
        (Splits(([1, 2], None)), TypeError, "must be an array.*Received: list"),
        (Splits(pair(3), test=pair(3, width=4)), ValueError, "same shapes and dtypes"),
        (Splits((np.array([[1], 2], object), None)), ValueError, "objects in x"),
        (Splits((np.array(["a", "b"]), None)), ValueError, "text in x.*Encode"),
        (Splits((np.array([b"a", b"b"]), None)), ValueError, "text in x.*Encode"),
        (Splits((np.ones(2), np.array(["a", "b"]))), ValueError, "text in y"),
        (Splits((np.ones(2, "complex64"), None)), ValueError, "complex numbers in x"),
        (Splits((np.ones(2, "datetime64[D]"), None)), ValueError, r"datetime64\[D\]"),
        (Splits((np.zeros(2, [("a", "f4")]), None)), ValueError, "void32.*Convert"),
        (Splits(pair(1)), ValueError, "must leave samples to train on"),
    ],
)
def test_data_that_does_not_fit(splits, error, message):
    with pytest.raises(error, match=message):
        _ = source(splits).train


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float64"])
def test_real_numbers_of_every_kind_are_data(dtype):
    x = np.ones((4, 2), dtype)
    assert source(Splits((x, None))).element_spec == (Spec((2,), dtype), None)
