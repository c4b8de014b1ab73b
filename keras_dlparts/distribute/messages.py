"""What the workers of a run send each other besides gradients.

Only the chief, worker 0, reads and writes a run's folder. It sends the others what they
need of it, such as the epoch to begin with and the weights, so they need not see its
disk.
"""

import io
import json

import keras
import numpy as np

from keras_dlparts.distribute import cluster

_WORDS_A_MESSAGE = 2**24  # 64 MiB


def place(strategy):
    """(this worker's number, how many there are); (0, 1) where there is but one.

    >>> place(None)
    (0, 1)
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.process_index(), jax.process_count()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
            found = cluster.find()
            return found.index, len(found.addresses)
    return 0, 1


def from_chief(strategy, make):
    """Call `make()` on the chief, and return what it gives on every worker.

    Args:
        strategy: the strategy, whose workers must all call this at the same place.
        make: gives a pair of something that JSON can hold and a dict of arrays; or
            None.
    """
    index, workers = place(strategy)
    if workers == 1:
        return make()
    packed = _pack(make()) if index == 0 else np.zeros(0, "uint8")
    size = _sent(strategy, np.array([len(packed)], "int32"))
    if index:
        packed = np.zeros(int(size[0]), "uint8")
    return _unpack(_sent(strategy, packed))


def _pack(value):
    file = io.BytesIO()
    plain, arrays = value if value is not None else (None, {})
    text = json.dumps([value is not None, plain])
    np.savez(file, *[np.array(text)], **{f"_{k}": v for k, v in arrays.items()})
    return np.frombuffer(file.getvalue(), "uint8")


def _unpack(packed):
    with np.load(io.BytesIO(packed.tobytes()), allow_pickle=False) as file:
        is_there, plain = json.loads(str(file["arr_0"]))
        arrays = {name[1:]: file[name] for name in file.files if name[0] == "_"}
    return (plain, arrays) if is_there else None


def _sent(strategy, array):
    """The chief's array on every worker; the others give zeros of its shape."""
    if keras.backend.backend() == "jax":
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.broadcast_one_to_all(array))
    import tensorflow as tf

    local = strategy.num_replicas_in_sync // place(strategy)[1]

    @tf.function(reduce_retracing=True)
    def add(words):
        def one():
            # One replica of each worker gives the worker's words, the others zeros.
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            return tf.where(replica % local == 0, words, tf.zeros_like(words))

        return strategy.reduce("SUM", strategy.run(one), axis=None)

    # The bytes are sent as integers of 32 bits: bytes cannot be summed over workers.
    words = np.pad(array.view("uint8"), (0, -array.nbytes % 4)).view("int32")
    starts = range(0, max(len(words), 1), _WORDS_A_MESSAGE)
    sent = [add(tf.constant(words[i : i + _WORDS_A_MESSAGE])).numpy() for i in starts]
    return np.concatenate(sent).view("uint8")[: array.nbytes].view(array.dtype)
