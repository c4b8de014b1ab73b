"""`mirrored`: each device of one machine has a copy of the model and a share of the
batch; the gradients are summed, so that all copies take the same step.

This is TensorFlow's `tf.distribute.MirroredStrategy`.
"""

import contextlib
import functools

from keras_dlparts.distribute.devices import check_backend, named


def strategy(devices=None):
    """A `tf.distribute.MirroredStrategy`.

    Args:
        devices: Integer, how many to use; or a list of their names, such as
            `["GPU:0", "GPU:1"]`. None for all GPUs. A machine without a GPU tries it
            out on logical devices of its processor, as many as are asked for.
    """
    check_backend("mirrored", "tensorflow")
    import tensorflow as tf

    def logical(kind):
        return lambda: [
            f"{kind}:{i}" for i, _ in enumerate(tf.config.list_logical_devices(kind))
        ]

    kinds = {kind: logical(kind) for kind in ("GPU", "CPU")}
    if not tf.config.list_physical_devices("GPU"):
        kinds = {"CPU": kinds["CPU"]}  # asked for its devices TensorFlow would start
    return _mirrored(tuple(named(devices, kinds, split)))


@functools.cache
def _mirrored(devices):
    """The strategy of these devices; there is one in a process. Each numbers its sums
    from the same number on, so those of two strategies would get mixed up."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


def split(count):
    """Make the processor several logical devices, unless TensorFlow has started."""
    import tensorflow as tf

    processor = tf.config.list_physical_devices("CPU")[0]
    # Where it is too late, whoever asks finds fewer devices than wanted.
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * count
        )
