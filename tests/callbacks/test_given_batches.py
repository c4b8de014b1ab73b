"""What `data=` of a callback may be, and which batch a step is measured on."""

import keras
import numpy as np
import pytest

from keras_dlparts import train
from keras_dlparts.callbacks import SmoothnessTrace
from keras_dlparts.callbacks.given_batches import batches_of, check_given
from keras_dlparts.data import Npz
from keras_dlparts.data.batches import Batches

X = np.arange(6, dtype="float32")[:, None]
# Rows 0 and 1, 2 and 3, 4 and 5; then from the beginning.
TURNS = [0, 2, 4, 0]


def loader():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    tensors = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(X))
    return torch.utils.data.DataLoader(tensors, batch_size=2)


def dataset():
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    return tf.data.Dataset.from_tensor_slices((X, X)).batch(2)


def generator():
    yield from ((X[i : i + 2], X[i : i + 2]) for i in (0, 2, 4))


def source(folder):
    np.savez(folder / "a.npz", x=X, y=X)
    common = {"batch_size": 2, "shuffle": False, "validation_split": 0.0}
    return Npz(str(folder / "a.npz"), **common)


@pytest.mark.parametrize(
    "make",
    [
        loader,
        dataset,
        lambda: generator,
        lambda: [*generator()],
        lambda: Batches(X, X, batch_size=2),
        source,
    ],
    ids=["DataLoader", "tf.data", "function", "list", "PyDataset", "source"],
)
@pytest.mark.long
def test_batches_come_in_turn_and_from_the_beginning(make, tmp_path):
    data = make(tmp_path) if make is source else make()
    check_given(data)
    batch = batches_of(data)
    found = [batch(step) for step in range(4)]
    assert [float(x[0, 0]) for x, *_ in found] == TURNS
    assert all(np.array_equal(x, y) for x, y in found)


def test_one_batch_stays_and_a_weight_may_be_beside_it():
    for data in ((X, X), [X, X], (X, X, X[:, 0])):
        check_given(data)
        assert batches_of(data)(7) == tuple(data)


def test_what_gives_no_batches_says_so():
    read = batches_of(generator())
    assert [float(read(i)[0][0, 0]) for i in range(3)] == [0, 2, 4]
    with pytest.raises(ValueError, match="a function that makes it"):
        read(3)
    with pytest.raises(ValueError, match=r"batches \(x, y\).*Received: a ndarray"):
        batches_of(lambda: [X])(0)
    for wrong in (X, {"x": X}, (X,), 3):
        with pytest.raises(TypeError, match="must be a batch"):
            check_given(wrong)
    with pytest.raises(ValueError, match=r"train, validation, test\. .*'tests'"):
        check_given("tests")


def test_under_plain_fit_a_split_is_refused():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"'test' in a plain `fit`; give a batch"):
        model.fit(X, X, callbacks=[SmoothnessTrace(data="test")], verbose=0)


@pytest.mark.long
@pytest.mark.parametrize("data", ["validation", {"use": "spirals", "samples": 30}])
def test_a_config_names_a_split_or_a_source(tmp_path, data):
    config = {
        "data": {"use": "spirals", "samples": 40, "batch_size": 36},
        "model": [{"use": "Dense", "units": 2}],
        "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
        "callbacks": [{"use": "SmoothnessTrace", "every": 1, "data": data}],
        "fit": {"epochs": 2},
    }
    run = train(config, out=tmp_path)
    assert all(value > 0 for value in run.history["smoothness"])
