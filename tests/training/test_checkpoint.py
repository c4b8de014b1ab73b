"""Checkpoints: everything comes back, damaged ones are passed over."""

import keras
import ml_dtypes
import numpy as np
import pytest

from keras_dlparts.layers import RandomDropout
from keras_dlparts.training.checkpoint import Checkpoints, plain_state, restore


class Counting(keras.callbacks.Callback):
    """Holds state of every plain kind, and some that is not plain."""

    def __init__(self, start=0):
        super().__init__()
        self.count = start
        self.arrays = [np.full(2, start), {"deep": np.float32(start)}]
        self.best = np.inf
        self.function = len


def make(units=3, policy="float32"):
    layer = keras.layers.Dense(units, dtype=policy)
    model = keras.Sequential([keras.Input((2,)), RandomDropout(0.5), layer])
    model.compile("adam", "mse")
    return model


def fitted(**how):
    model = make(**how)
    x = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
    model.fit(x, np.zeros((16, 3), "float32"), verbose=0)
    return model


@pytest.mark.parametrize("policy", ["float32", "bfloat16"])
def test_everything_comes_back(tmp_path, policy):
    model, callback = fitted(policy=policy), Counting(4)
    Checkpoints(tmp_path).save(7, model, [callback])
    other, blank = make(policy=policy), Counting()
    saved = Checkpoints(tmp_path).newest()
    restore(saved, other, [blank])
    assert saved[0]["epoch"] == 7
    kept = [*model.variables, *model.optimizer.variables]
    back = [*other.variables, *other.optimizer.variables]
    assert len(kept) > 8  # weights, the seed's state, Adam's moments
    for a, b in zip(kept, back, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert blank.count == 4
    np.testing.assert_array_equal(blank.arrays[0], [4, 4])
    assert blank.arrays[1] == {"deep": 4}
    assert blank.function is len


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn"])
def test_floats_that_numpy_has_from_elsewhere_come_back(tmp_path, dtype):
    dtype = getattr(ml_dtypes, dtype)
    callback, blank = Counting(), Counting()
    callback.arrays = {"many": np.array([[0.5, -2]], dtype), "one": dtype(1.5)}
    model = fitted()
    Checkpoints(tmp_path).save(1, model, [callback])
    restore(Checkpoints(tmp_path).newest(), model, [blank])
    for name, value in callback.arrays.items():
        assert blank.arrays[name].dtype == dtype
        np.testing.assert_array_equal(blank.arrays[name], value)


def test_arrays_of_records_are_no_plain_state():
    callback = Counting()
    callback.arrays = np.zeros(2, [("a", "f4")])
    assert "arrays" not in plain_state(callback)


def test_only_plain_state_is_kept():
    callback = Counting()
    callback.set_model(make())
    assert set(plain_state(callback)) == {"count", "arrays", "best"}


def test_the_last_two_are_kept(tmp_path):
    model = fitted()
    for epoch in range(4):
        Checkpoints(tmp_path).save(epoch, model, [])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["epoch-00002.npz", "epoch-00003.npz"]


def test_within_an_epoch_they_come_after_its_begin(tmp_path):
    model, checkpoints = fitted(), Checkpoints(tmp_path)
    for epoch, step in [(3, 0), (3, 20), (3, 100), (4, 0)]:
        checkpoints.save(epoch, model, [], step, 10, {"seconds": 1.5})
        manifest = checkpoints.newest()[0]
        assert (manifest["epoch"], manifest["step"]) == (epoch, step)
    before = checkpoints.newest(lambda manifest: manifest["epoch"] == 3)[0]
    assert (before["step"], before["spent"]) == (100, {"seconds": 1.5})
    assert checkpoints.newest(lambda manifest: False)[0]["step"] == 100  # the oldest


def test_the_metrics_come_back_within_an_epoch(tmp_path):
    model, other = fitted(), make()
    model.evaluate(np.ones((5, 2)), np.ones((5, 3)), verbose=0)
    Checkpoints(tmp_path).save(0, model, [], step=1)
    restore(Checkpoints(tmp_path).newest(), other, [])
    found = [float(m.result()) for m in (model.metrics[0], other.metrics[0])]
    assert found[0] == found[1] != 0


def test_damaged_ones_of_later_go_where_an_earlier_one_is_written(tmp_path):
    said, model = [], fitted()
    checkpoints = Checkpoints(tmp_path, said.append)
    checkpoints.save(2, model, [])
    (tmp_path / "epoch-00005.npz").write_bytes(b"cut")
    assert checkpoints.newest()[0]["epoch"] == 2
    assert said == [
        f"{tmp_path / 'epoch-00005.npz'} is damaged; looking for the checkpoint "
        "before it"
    ]
    checkpoints.save(3, model, [])
    assert [p.stem for p in checkpoints.paths()] == ["epoch-00002", "epoch-00003"]


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_a_truncated_one_gives_way_to_the_one_before(tmp_path, kept):
    model = fitted()
    for epoch in (1, 2):
        Checkpoints(tmp_path).save(epoch, model, [])
    newest = tmp_path / "epoch-00002.npz"
    data = newest.read_bytes()
    newest.write_bytes(data[: kept if isinstance(kept, int) else int(kept * len(data))])
    assert Checkpoints(tmp_path).newest()[0]["epoch"] == 1


def test_a_flipped_byte_is_found(tmp_path):
    model = fitted()
    for epoch in (1, 2):
        Checkpoints(tmp_path).save(epoch, model, [])
    newest = tmp_path / "epoch-00002.npz"
    data = bytearray(newest.read_bytes())
    at = data.index(model.layers[1].kernel.numpy().tobytes())
    data[at] ^= 1
    newest.write_bytes(bytes(data))
    assert Checkpoints(tmp_path).newest()[0]["epoch"] == 1


def test_none_is_none(tmp_path):
    assert Checkpoints(tmp_path / "nowhere").newest() is None


def test_another_models_checkpoint_is_refused(tmp_path):
    Checkpoints(tmp_path).save(1, fitted(), [])
    saved = Checkpoints(tmp_path).newest()
    with pytest.raises(ValueError, match=r"dense.*/kernel has shape \(2, 5\)"):
        restore(saved, make(units=5), [])
    deeper = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    deeper.compile("sgd", "mse")
    with pytest.raises(ValueError, match="of another model: it holds"):
        restore(saved, deeper, [])
