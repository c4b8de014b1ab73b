"""`tpu`: the cores of a TPU, each with a copy of the model, through TensorFlow's
`TPUClusterResolver` and `tf.distribute.TPUStrategy`.

It has not been tried on a TPU. A test with a stand-in for the resolver shows which
calls are made.
"""

from keras_dlparts.distribute.devices import check_backend


def strategy(tpu: str = "", zone: str | None = None, project: str | None = None):
    """A `tf.distribute.TPUStrategy`.

    Args:
        tpu: String. The TPU's name or address; `""` for the one that the environment
            variable `TPU_NAME` or the machine itself names, `"local"` for one that is
            built in.
        zone: String. The zone of a cloud's TPU, where it is not this machine's.
        project: String. The project of a cloud's TPU, likewise.
    """
    check_backend("tpu", "tensorflow")
    import tensorflow as tf

    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(
            tpu=tpu, zone=zone, project=project
        )
        tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, tf.errors.OpError, OSError) as error:
        raise ValueError(
            f"no TPU answers. Received: tpu={tpu!r}, zone={zone!r}, "
            f"project={project!r}: {error}"
        ) from error
    return tf.distribute.TPUStrategy(resolver)
