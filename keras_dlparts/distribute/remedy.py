"""What Keras 3.15 lacks to train on several processes, put into Keras at run time.

On TensorFlow, `fit` under a `MultiWorkerMirroredStrategy` fails twice:

1. Keras builds the model from the mean of a batch over the replicas, which it asks of
   the whole values of all workers. Here it builds from one local replica's batch, of
   which it needs shapes and dtypes only.
2. Keras takes the mean of each metric over replicas *and* over a batch axis, which a
   metric does not have. Here it is the mean over replicas.

On JAX, `predict` collects outputs that lie in part on devices of other processes, which
cannot be read. Here every process has all of them, in the order of the global batch.

Each of the three changes does nothing unless there are several processes. The tests
train with plain Keras too, and fail when it does not: then this file can go.
"""

import functools

import keras

_FOR = "3.15."
_applied = False


def apply():
    """Put the changes into Keras, once; refuse a version they were not tried on."""
    global _applied
    if not keras.__version__.startswith(_FOR):
        raise ValueError(
            "'multi_worker' mends defects of Keras 3.15 and was tried on no other. "
            f"Received: Keras {keras.__version__}. Install keras==3.15.*, or a "
            "keras-dlparts that knows this one"
        )
    if not _applied:
        {"tensorflow": _tensorflow, "jax": _jax}[keras.backend.backend()]()
        _applied = True


def _tensorflow():
    from keras.src.backend.tensorflow import trainer

    is_several = trainer._collective_all_reduce_multi_worker
    stock_build = trainer.TensorFlowTrainer._maybe_symbolic_build
    stock_reduce = trainer.reduce_per_replica

    @functools.wraps(stock_build)
    def build(self, iterator=None, data_batch=None):
        strategy = self._distribute_strategy
        if iterator is not None and strategy is not None and is_several(strategy):
            _, _, batches = next(iter(iterator))
            data_batch = keras.tree.map_structure(
                lambda value: strategy.experimental_local_results(value)[0],
                next(batches),
            )
            iterator = None
        return stock_build(self, iterator, data_batch)

    @functools.wraps(stock_reduce)
    def reduce(values, strategy, reduction):
        if reduction == "auto" and is_several(strategy):
            return keras.tree.map_structure(
                lambda value: strategy.reduce("MEAN", value, axis=None), values
            )
        return stock_reduce(values, strategy, reduction)

    trainer.TensorFlowTrainer._maybe_symbolic_build = build
    trainer.reduce_per_replica = reduce


def _jax():
    import jax
    from keras.src.backend.jax import trainer

    stock_predict_step = trainer.JAXTrainer.predict_step

    @functools.wraps(stock_predict_step)
    def predict_step(self, state, data):
        outputs, variables = stock_predict_step(self, state, data)
        distribution = keras.distribution.distribution()
        if jax.process_count() > 1 and distribution is not None:
            mesh = distribution.device_mesh.backend_mesh
            whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
            outputs = jax.lax.with_sharding_constraint(outputs, whole)
        return outputs, variables

    trainer.JAXTrainer.predict_step = predict_step
