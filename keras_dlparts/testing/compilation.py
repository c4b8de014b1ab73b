"""What is asked of a part so that a TPU could train it: `compiles_for_a_tpu`.

There is no TPU to try. On JAX the training step is lowered for one, which needs none
and refuses what a TPU refuses; on TensorFlow it is translated to XLA's language and
searched for shapes that are known at run time only.
"""

import re

import keras

from keras_dlparts import backend
from keras_dlparts.backend import keras_private
from keras_dlparts.testing.cases import require
from keras_dlparts.testing.examples import example

# XLA writes f32[<=8,3] for a first axis of at most 8.
_DYNAMIC = re.compile(r"\w+\[[^\]]*<=[^\]]*\]")


def compiles_for_a_tpu(case):
    """Its training step compiles under XLA, and every shape in it is known before.

    On TensorFlow, where this takes long, only the first case's.
    """
    if not backend.can_compile() or (case.number and backend.name() == "tensorflow"):
        return
    ours = example(case, jit_compile=True)
    model = ours.model
    backend.build_optimizer(model)
    keras_private.build_all(model, ours.x, ours.y)  # makes the metrics' variables
    lowered = {"jax": _for_a_tpu, "tensorflow": _for_xla}[backend.name()]
    found = _DYNAMIC.search(lowered(model, (ours.x, ours.y)))
    require(
        not found,
        "The training step has a shape that depends on values: "
        f"{found and found[0]}. Write it with masks of a fixed shape.",
    )


def _for_a_tpu(model, data):
    import jax

    state = [
        [variable.value for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    ]
    traced = jax.jit(model.train_step).trace(state, data)
    return traced.lower(lowering_platforms=("tpu",)).as_text()


def _for_xla(model, data):
    import tensorflow as tf

    step = tf.function(model.train_step, jit_compile=True)
    data = keras.tree.map_structure(tf.convert_to_tensor, data)
    return step.experimental_get_compiler_ir(data)(stage="hlo")
