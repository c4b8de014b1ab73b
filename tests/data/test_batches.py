import keras
import numpy as np
import pytest

from keras_dlparts.data import Batches


class Look(keras.callbacks.Callback):
    """The samples of each batch that a model trains on, told from its loss.

    Sample i costs 2^i, so a batch' total cost names its samples.
    """

    seen = ()

    def on_epoch_begin(self, epoch, logs=None):
        self.total = 0

    def on_train_batch_end(self, batch, logs=None):
        total = round(float(logs["loss"]) * min(4 * (batch + 1), 10))
        bits = total - self.total
        self.seen = [*self.seen, [i for i in range(10) if bits >> i & 1]]
        self.total = total


def epochs_seen(**arguments):
    """The batches of `fit(batches, **arguments)`, each sorted, and the batches."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", lambda y, p: y[:, 0] + 0 * p[:, 0])
    y = 2.0 ** np.arange(10, dtype="float32")[:, None]
    batches = Batches(np.zeros_like(y), y, batch_size=4, shuffle=True, seed=3)
    look = Look()

    def begin(epoch, logs):
        if "initial_epoch" in arguments:
            batches.epoch = epoch

    callbacks = [keras.callbacks.LambdaCallback(on_epoch_begin=begin), look]
    model.fit(batches, shuffle=False, verbose=0, callbacks=callbacks, **arguments)
    return look.seen, batches


def expected(epoch, n=10, size=4, seed=3):
    order = np.random.default_rng([seed, epoch]).permutation(n)
    return [order[i : i + size].tolist() for i in range(0, n, size)]


def test_every_epoch_has_the_order_of_its_number():
    batches = Batches(np.arange(10), batch_size=4, shuffle=True, seed=3)
    for epoch in (0, 1, 7, 1):
        batches.epoch = epoch
        assert [x.tolist() for (x,) in batches] == expected(epoch)


def test_unshuffled_and_whole():
    x, y = np.arange(5), np.arange(5) * 2
    batches = Batches(x, y, batch_size=2, shuffle=False)
    assert [b[0].tolist() for b in batches] == [[0, 1], [2, 3], [4]]
    shuffled = Batches(x, y, batch_size=2, shuffle=True)
    for whole in (batches.arrays(), shuffled.arrays()):
        assert whole[0].tolist() == x.tolist()
        assert whole[1].tolist() == y.tolist()
    with pytest.raises(IndexError, match=r"3 batches. Received: 3"):
        batches[3]


def test_dicts_and_rows_and_no_targets():
    x = {"a": np.arange(6), "b": np.arange(6) * 10}
    batches = Batches(x, batch_size=2, rows=np.array([1, 3, 5]))
    assert len(batches) == 2
    (first,) = batches[0]
    assert first["a"].tolist() == [1, 3]
    assert first["b"].tolist() == [10, 30]
    assert batches.arrays()[1] is None


def test_memory_map_is_not_read_whole(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(8))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    batches = Batches(x, batch_size=3, shuffle=True, seed=3)
    assert batches.x is x
    assert batches[0][0].tolist() == expected(0, n=8, size=3)[0]


def test_fit_sees_a_new_order_each_epoch():
    seen, batches = epochs_seen(epochs=3)
    first = batches.epoch - 3  # Keras may have looked at a batch before training
    assert first in (0, 1)
    assert seen == [sorted(b) for e in range(3) for b in expected(first + e)]


def test_an_epoch_set_in_a_callback_is_the_one_that_runs():
    seen, _ = epochs_seen(initial_epoch=5, epochs=7)
    assert seen == [sorted(b) for e in (5, 6) for b in expected(e)]


def test_tf_data_gives_the_same_batches():
    tf = pytest.importorskip("tensorflow")
    x, y = np.arange(10), {"y": np.arange(10.0)}
    batches = Batches(x, y, batch_size=4, shuffle=True, seed=3)
    dataset = batches.to_tf_data()
    for epoch in (0, 2):
        batches.epoch = epoch
        got = list(dataset.as_numpy_iterator())
        assert [a.tolist() for a, _ in got] == expected(epoch)
        assert [b["y"].tolist() for _, b in got] == expected(epoch)
    assert dataset.cardinality() == 3
    whole = batches.to_tf_data(drop_remainder=True)
    assert [len(a) for a, _ in whole] == [4, 4]
    assert whole.element_spec[0] == tf.TensorSpec((4,), "int64")
    with pytest.raises(ValueError, match=r"Received: 3 samples and batch_size=4"):
        Batches(x[:3], batch_size=4).to_tf_data(drop_remainder=True)
