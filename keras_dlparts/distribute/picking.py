"""What strategy suits this machine."""

import os

from keras_dlparts.distribute import cluster


def pick() -> tuple[str, str]:
    """(name, why): what `auto` stands for here.

    Asked in this order: is this process one of several, was a TPU announced, are there
    several accelerators. Several logical devices of a processor do not count.
    """
    from keras_dlparts import backend

    if backend.name() == "torch":
        return "none", "on PyTorch there is no other strategy"
    found = cluster.find()
    if found is not None and len(found.addresses) > 1:
        return "multi_worker", f"the environment names {len(found.addresses)} workers"
    devices = backend.accelerators()
    if backend.name() == "jax":
        if len(devices) > 1:
            return "jax_data_parallel", f"JAX has {len(devices)} devices"
    elif os.environ.get("TPU_NAME"):
        return "tpu", f"TPU_NAME is {os.environ['TPU_NAME']}"
    elif len(devices) > 1:
        return "mirrored", f"TensorFlow has {len(devices)} GPUs"
    one = f"one accelerator, {devices[0]}" if devices else "no accelerator"
    return "none", f"this machine has {one}"
