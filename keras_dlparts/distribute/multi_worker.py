"""`multi_worker`: several processes, on one machine or many, each with its own devices.

Every worker has a copy of the model and reads its share of each batch; the gradients
are summed over all workers, so that all copies take the same step. On TensorFlow this
is `tf.distribute.MultiWorkerMirroredStrategy`, on JAX `keras.distribution.DataParallel`
after `keras.distribution.initialize`.

The environment says who the workers are: see `keras_dlparts.distribute.cluster`.
"""

from typing import Literal

import keras

from keras_dlparts.distribute import cluster, remedy
from keras_dlparts.distribute.devices import check_backend
from keras_dlparts.support.checks import check_count, check_word

_COMMUNICATION = ("auto", "ring", "nccl")


def strategy(
    workers: int | None = None,
    communication: Literal["auto", "ring", "nccl"] = "auto",
):
    """A `tf.distribute.MultiWorkerMirroredStrategy`, or on JAX a `DataParallel`.

    Make it before anything else of TensorFlow or JAX.

    Args:
        workers: Integer, how many processes there are. `dlparts train` starts so many
            on this machine, unless something else has started them; None for as many
            as the environment says.
        communication: How gradients travel on TensorFlow: `"ring"` over the network,
            `"nccl"` between GPUs, `"auto"` for what fits.
    """
    check_backend("multi_worker", "tensorflow", "jax")
    if workers is not None:
        check_count("workers", workers)
    check_word("communication", communication, _COMMUNICATION)
    found = cluster.find()
    if found is None:
        raise ValueError(
            "'multi_worker' must be told who the workers are. Received: no TF_CONFIG "
            "and no step of SLURM's. Start them all by `dlparts train CONFIG "
            "--distribute multi_worker --workers 2`, or see docs/several_machines.md"
        )
    count = len(found.addresses)
    if workers not in (None, count):
        raise ValueError(
            "`workers` must be how many the environment names, or be left out. "
            f"Received: workers={workers}, and {count} in the environment"
        )
    remedy.apply()
    make = {"tensorflow": _tensorflow, "jax": _jax}[keras.backend.backend()]
    return make(found, communication)


def _tensorflow(found, communication):
    import tensorflow as tf

    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": [*found.addresses]}),
        task_type="worker",
        task_id=found.index,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    implementation = tf.distribute.experimental.CommunicationImplementation
    return tf.distribute.MultiWorkerMirroredStrategy(
        resolver,
        tf.distribute.experimental.CommunicationOptions(
            implementation=implementation[communication.upper()]
        ),
    )


def _jax(found, communication):
    import jax

    # This service of JAX would catch SIGTERM, and the process would not stop.
    jax.config.update("jax_enable_preemption_service", False)
    keras.distribution.initialize(found.addresses[0], len(found.addresses), found.index)
    # Each process feeds its own share.
    return keras.distribution.DataParallel(auto_shard_dataset=False)
