"""`mirrored`: each device of one machine has a copy of the model and a share of the
batch; the gradients are summed, so that all copies take the same step.

This is TensorFlow's `tf.distribute.MirroredStrategy`.
"""

import contextlib
import functools

from keras_dlparts.distribute.devices import check_backend, named


def strategy(devices: int | list[str] | tuple[str, ...] | None = None):
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
        kinds = {"CPU": kinds["CPU"]}  # listing logical GPUs would start TensorFlow
    return _mirrored(tuple(named(devices, kinds, split)))


@functools.cache
def _mirrored(devices):
    """The strategy of these devices, the same one for every call in a process.

    Each strategy numbers its sums over the devices from the same number on, so the sums
    of two strategies of the same devices would be mixed up.
    """
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


def split(count):
    """Make the processor several logical devices, unless TensorFlow has started."""
    import tensorflow as tf

    processor = tf.config.list_physical_devices("CPU")[0]
    # Too late, it has no effect, and `named` finds fewer devices than were asked for.
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * count
        )
