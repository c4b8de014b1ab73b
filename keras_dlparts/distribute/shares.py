"""What each worker reads: its own part of every batch, and nothing else.

    a batch of rows s to e is cut among R replicas: replica j reads the rows
    s + floor(j (e - s) / R)  to  s + floor((j + 1) (e - s) / R)

The order of an epoch depends on (seed, epoch) alone, so the parts of all workers make
up the batch that one process would read, with no row twice and none lost. How the last
batch is cut where the samples do not suffice for a whole one:

    to train       the rows that are left over by an even cut, fewer than R, wait for
                   another epoch: the mean over replicas of uneven parts is not the
                   mean over samples
    to evaluate    every row counts; a last batch of fewer than R rows joins the one
                   before it, so that no replica is without a row
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import keras
import numpy as np

from keras_dlparts.backend import keras_private
from keras_dlparts.distribute.messages import place

if TYPE_CHECKING:
    from keras_dlparts.data import Batches


def cuts(count: int, size: int, replicas: int, even: bool) -> list[tuple[int, int]]:
    """Where the batches of `count` rows begin and end.

    Args:
        count: Integer, how many rows.
        size: Integer, of a batch over all replicas.
        replicas: Integer, how many share a batch.
        even: Whether each batch must be a multiple of `replicas`.

    >>> cuts(11, 4, 2, even=True)
    [(0, 4), (4, 8), (8, 10)]
    >>> cuts(9, 4, 2, even=False)
    [(0, 4), (4, 9)]
    """
    if size < replicas or (even and size % replicas):
        rule = (
            "divide evenly among the replicas" if even else "suffice for all replicas"
        )
        raise ValueError(
            f"`batch_size` must {rule}. Received: batch_size={size} and {replicas} "
            f"replicas. Use {max(1, size // replicas) * replicas}"
        )
    if even:
        count -= count % size % replicas
    ends = [*range(size, count, size), count]
    if not even and len(ends) > 1 and ends[-1] - ends[-2] < replicas:
        del ends[-2]
    if count < replicas:
        raise ValueError(
            "There must be a sample for each replica. Received: "
            f"{count} samples and {replicas} replicas. Use more data or fewer workers"
        )
    return [*zip([0, *ends[:-1]], ends, strict=True)]


def opened_evenly(cuts: list[tuple[int, int]], replicas: int) -> list[tuple[int, int]]:
    """The cuts with a first batch that divides evenly, the second having the rest.

    Keras looks at the mean over replicas of their parts of the first batch.

    >>> opened_evenly([(0, 9)], 2), opened_evenly([(0, 4), (4, 9)], 2)
    ([(0, 6), (6, 9)], [(0, 4), (4, 9)])
    """
    (start, stop), *others = cuts
    rest = (stop - start) % replicas
    if not rest:
        return cuts
    if stop - start >= 2 * replicas:
        rest += replicas  # so that each replica has a row of the rest
    return [(start, stop - rest), (stop - rest, stop), *others]


class Share(keras.utils.PyDataset):
    """The part of each of `Batches` that this process reads.

    Args:
        batches: `Batches`, the same in all processes.
        replicas: Integer, how many share a batch, over all processes.
        own: Which of them are this process' own, a `range`.
        even: Whether each batch must divide evenly, as to train.

    Example:

    >>> from keras_dlparts.data.batches import Batches
    >>> batches = Batches(np.arange(10), batch_size=4)
    >>> [x.tolist() for (x,) in Share(batches, 2, range(1, 2))]
    [[2, 3], [6, 7], [9]]
    """

    def __init__(
        self, batches: "Batches", replicas: int, own: range, even: bool = True
    ):
        super().__init__()
        self.batches, self.replicas, self.own, self.even = batches, replicas, own, even
        self.cuts = cuts(len(batches.rows), batches.batch_size, replicas, even)

    def __len__(self):
        return len(self.cuts)

    def __getitem__(self, index):
        return self._read(index, self.own[0], self.own[-1] + 1)

    def on_epoch_end(self):
        self.batches.on_epoch_end()

    def _read(self, index, first, last):
        start, stop = self.cuts[index]
        rows = [start + j * (stop - start) // self.replicas for j in (first, last)]
        return self.batches.samples(slice(*rows))

    def to_tf_data(self, class_weight=None, fetched=None):
        """A `tf.data.Dataset` of what each own replica reads, one after the other.

        A pass over it gives the order of the `epoch` that the batches have when the
        pass begins.

        Args:
            class_weight: `{class number: weight}`, or None. `fit` cannot weigh the
                classes of data that are shared out already.
            fetched: Called with a step and the time when its fetching began, once all
                own parts of its batch are there.
        """
        import tensorflow as tf

        def read(index, j):
            data = self._read(index, j, j + 1)
            return (
                data if class_weight is None else (*data, _weights(data, class_weight))
            )

        sizes = {(stop - start) / self.replicas for start, stop in self.cuts}
        size = sizes.pop() if len(sizes) == 1 and self.even else None
        signature = keras.tree.map_structure(
            lambda a: tf.TensorSpec((size and int(size), *a.shape[1:]), a.dtype),
            read(0, self.own[0]),
        )

        def parts():
            for i in range(len(self)):
                began = time.perf_counter()
                for j in self.own:
                    part = read(i, j)
                    if fetched and j == self.own[-1]:
                        fetched(i, began)
                    yield part

        dataset = tf.data.Dataset.from_generator(parts, output_signature=signature)
        count = len(self) * len(self.own)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
        return dataset.prefetch(tf.data.AUTOTUNE)


def _weights(data, class_weight):
    """The samples' weights by their classes, numbers or one-hot."""
    y = data[1]
    classes = y.argmax(-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y))
    return np.array([class_weight.get(int(c), 1.0) for c in classes], "float32")


def share(
    batches: "Batches",
    strategy,
    even: bool = True,
    class_weight: dict[int, float] | None = None,
    fetched: Callable | None = None,
):
    """What `fit` or `evaluate` takes under a strategy of several workers.

    Args:
        batches: `Batches` of global batches, the same in all processes.
        strategy: what `keras_dlparts.distribute.strategy("multi_worker")` gave.
        even: whether to cut for training, where all parts of a batch are of one size.
            Without it, to evaluate, every sample counts; JAX has even cuts only.
        class_weight: `{class number: weight}` for training on TensorFlow; on JAX give
            it to `fit`.
        fetched: As for `Share.to_tf_data`; not called on JAX.
    """
    if keras.backend.backend() == "jax":
        import jax

        devices = strategy.device_mesh.backend_mesh.devices.flatten()
        here = jax.process_index()
        own = [i for i, d in enumerate(devices) if d.process_index == here]
        return Share(batches, len(devices), range(own[0], own[-1] + 1))
    replicas = strategy.num_replicas_in_sync

    def read(context):
        local = replicas // context.num_input_pipelines
        first = context.input_pipeline_id * local
        own = range(first, first + local)
        return Share(batches, replicas, own, even).to_tf_data(class_weight, fetched)

    # All workers have the same number of parts, so none has to ask the others at every
    # step whether there is another batch.
    extended = strategy.extended
    asks = extended.experimental_enable_get_next_as_optional
    extended.experimental_enable_get_next_as_optional = False
    try:
        data = strategy.distribute_datasets_from_function(read)
    finally:
        extended.experimental_enable_get_next_as_optional = asks
    # Keras takes it for the number of steps; it is that of one worker's parts.
    count = keras_private.cardinality(data) // (replicas // place(strategy)[1])
    keras_private.set_cardinality(data, count)
    return data


def steps(items) -> int:
    """How many steps an epoch has, of what `share` gave or of anything with a `len`."""
    return len(items) if hasattr(items, "__len__") else keras_private.cardinality(items)
