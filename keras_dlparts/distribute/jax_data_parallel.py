"""`jax_data_parallel`: every batch is cut along its first axis, a piece a device.

The compiled step is one program over all devices, so it computes what one device
would, random draws included. This is `keras.distribution.DataParallel`.
"""

import contextlib

import keras

from keras_dlparts.distribute.devices import check_backend, named
from keras_dlparts.support.checks import check_count


def strategy(
    devices: int | list[str] | tuple[str, ...] | None = None,
) -> keras.distribution.DataParallel:
    """A `keras.distribution.DataParallel`.

    Args:
        devices: Integer, how many to use; or a list of their names, such as
            `["gpu:0", "gpu:1"]`. None for all accelerators. A machine without one
            tries it out on its processor, split into as many as are asked for.
    """
    check_backend("jax_data_parallel", "jax")
    if devices is not None and not isinstance(devices, list | tuple):
        # It must happen before JAX starts, and has no effect on accelerators.
        split(check_count("devices", devices))
    kinds = {"accelerator": _accelerators, "cpu": _processors}
    devices = named(devices, kinds, split)
    return keras.distribution.DataParallel(devices=devices)


def _accelerators():
    found = keras.distribution.list_devices()
    return [name for name in found if not name.startswith("cpu")]


def _processors():
    return keras.distribution.list_devices("cpu")


def split(count):
    """Make the processor several devices, unless JAX has started."""
    import jax

    # Too late, it has no effect, and `named` finds fewer devices than were asked for.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", count)
