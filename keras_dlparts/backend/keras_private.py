"""What this package uses of Keras and TensorFlow that is not their public interface.

Every other file asks here, so that a new version of Keras is met in one place. Each
function says what it reads and why nothing public does; `Since` is the first version of
Keras that has the name as it is used here. `tests/test_keras_private.py` holds one test
for each, which fails when the name is gone or has come to mean something else.

Nothing is imported until a function needs it: `static.py` and `config/signature.py`
read the names below without a backend. Two other files reach for private names, for
reasons of their own: `distribute/remedy.py`, which replaces three functions of Keras'
trainers, and `searching/kerastuner.py`, for KerasTuner.
"""

import collections
import contextlib
import copy
import importlib
import warnings

# The versions of Keras that the tests ran with: from the first on, before the second.
TESTED = (3, 15), (3, 16)

# Where the base classes stand whose constructors end a search for arguments. They are
# compared with `__module__`, and the source is read as text. Since 3.0.
LAYER_MODULE = "keras.src.layers.layer"
# The public `keras.optimizers.Optimizer` has bases that depend on the backend, which
# cannot be told from the source; this is the one with the constructor. Since 3.0.
BASE_OPTIMIZER = "keras.src.optimizers.base_optimizer", "BaseOptimizer"


def warn_if_untried(version):
    """Warn when a version of Keras, as `"3.15.1"`, is none that the tests ran with."""
    first, end = (".".join(map(str, tested)) for tested in TESTED)
    if not TESTED[0] <= tuple(map(int, version.split(".")[:2])) < TESTED[1]:
        warnings.warn(
            f"keras-dlparts was tested with Keras from {first} on, before {end}, and "
            f"uses private parts of it. Received: Keras {version}. What has changed "
            f"there may fail, or go wrong in silence: install 'keras>={first},<{end}', "
            "or a keras-dlparts that knows this one",
            stacklevel=2,
        )


# Layers.


def layers_in(layer, include_self=True, recursive=True):
    """A layer and all layers in it, as a list, each once.

    `model.layers` names the direct ones of a model only, and a wrapper or a layer of
    one's own has no public list at all. Since 3.0.
    """
    return layer._flatten_layers(include_self, recursive)


def takes_training(layer):
    """Whether the `call` of a layer has an argument `training`.

    Keras passes the argument on by itself, but only what it is told from outside; who
    calls a layer by hand has to know. Since 3.0.
    """
    return layer._call_has_training_arg


def pass_under_way():
    """What stands for a pass through a model, as long as it lasts; None outside of one.

    Two calls of a layer that see the same object are parts of one pass. Each thread,
    and so each replica of a strategy, has its own. In JAX' `fit`, which enters the
    model's `call` without the model's own call, it is the scope of the variables; else
    the call of the outermost layer. Since 3.0.
    """
    from keras.src.backend.common import global_state, stateless_scope

    if in_stateless_scope():
        return stateless_scope.get_stateless_scope()
    return global_state.get_global_attribute("current_call_ctx")


def outermost_layer():
    """The layer, mostly a model, whose call is under way, around all others; or None.

    A layer that is called does not know what it is part of. Since 3.0.
    """
    from keras.src.backend.common import global_state

    context = global_state.get_global_attribute("current_call_ctx")
    return None if context is None else context.entry_layer


def build_at_init(layer):
    """Mark a layer without weights as built, unless a subclass has its own `build`.

    As Keras' own layers without weights do in `__init__`; setting `built` would pass
    over the `build` of a subclass. Since 3.9.
    """
    layer._build_at_init()


def own_trainable_variables(layer):
    """The trainable variables of a layer itself, without those of layers in it.

    `layer.trainable_variables` has them all. They count as trainable also while the
    layer is frozen. Since 3.0.
    """
    return [*layer._trainable_variables]


def own_variables(layer):
    """All variables of a layer itself, without those of layers in it. Since 3.0."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def own_losses(layer):
    """The losses that a layer added in its last call, without its regularizers'.

    `layer.losses` evaluates the regularizers and goes into all layers in it. Since 3.0.
    """
    return [*layer._losses]


def losses_of_call():
    """The lists of losses that the layers of the call under way add to.

    The call is that of the outermost layer. Replicas of a strategy share the lists, and
    each clears them when its own call begins. In 3.15; older ones were not looked at.
    """
    return [layer._losses for layer in layers_in(outermost_layer())]


# Graphs of functional models. `keras_dlparts/graphs.py` gives them a meaning.


def is_functional(model):
    """Whether a model is a graph of layers, a subclass of one included.

    `keras.Model(inputs, outputs)` makes such a model, but its class is not exported. A
    Sequential model is none; see `graph_in`. Since 3.0.
    """
    from keras.src.models import Functional

    return isinstance(model, Functional)


def graph_in(model):
    """The functional model that a built Sequential keeps, or None before it is built.

    Since 3.0.
    """
    return model._functional


def nodes_by_depth(model):
    """The calls that a functional model consists of: {depth: list of nodes}.

    Depth 0 holds the outputs; inputs are deepest. A node has `operation`,
    `input_tensors`, `output_tensors`, `arguments` and `parent_nodes`. Since 3.0.
    """
    return model._nodes_by_depth


def inbound_nodes(operation):
    """All nodes in which a layer or operation was called, in any model. Since 3.0."""
    return operation._inbound_nodes


def outbound_nodes(operation):
    """All nodes that take what a layer or operation gave, in any model. Since 3.0."""
    return operation._outbound_nodes


def history(tensor):
    """Where a symbolic tensor came from: (operation, node index, tensor index).

    `inbound_nodes(operation)[node index].output_tensors[tensor index]` is the tensor.
    Since 3.0.
    """
    return tensor._keras_history


def set_mask(tensor, mask):
    """Attach the mask that Keras' losses and metrics read off a tensor.

    A layer with `compute_mask` does so for its outputs; on JAX `fit` hands the metrics
    copies of them that have none. Since 3.0.
    """
    from keras.src.backend import set_keras_mask

    set_keras_mask(tensor, mask)


def mask_of(tensor):
    """The mask that a layer attached to a tensor, or None.

    Keras hands it to layers by itself, but only along the tensor object it is attached
    to, which a function of one's own does not keep. Since 3.6.
    """
    from keras.src.backend import get_keras_mask

    return get_keras_mask(tensor)


# Random seeds.


def seed_generators(layer):
    """The seed generators of a layer itself, without those of layers in it.

    Keras lists no generators publicly. Their class may be replaced in place by a
    subclass without further attributes: what follows their state keeps the same
    object. Since 3.0.
    """
    return layer._seed_generators


def seed_states(model):
    """The variables that hold the states of a model's seed generators.

    They are among `model.variables` and differ from others by their name only. The
    first of the two numbers is the seed, the second counts the draws. Since 3.0.
    """
    return [v for v in model.variables if v.name == "seed_generator_state"]


# Names.


@contextlib.contextmanager
def names_from_the_start():
    """A context in which Keras numbers names from the start: `dense`, `dense_1`, ...

    A config's model then has the same names whatever the process made before, and so
    the same bits: TensorFlow sorts the terms of a sum by name, where `dense_10` comes
    before `dense_9`. `keras.utils.clear_session` numbers anew for good, and throws
    away what others made. Since 3.0.
    """
    from keras.src.backend.common import global_state

    theirs = global_state.get_global_attribute("object_name_uids")
    own = collections.defaultdict(int)
    global_state.set_global_attribute("object_name_uids", own)
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", theirs)


# Tracing.


def in_stateless_scope():
    """Whether variables stand for values of a `keras.StatelessScope`. Since 3.0."""
    from keras.src.backend import in_stateless_scope

    return in_stateless_scope()


def own_value(variable):
    """What a variable itself holds, whatever a `keras.StatelessScope` has in its place.

    None before it has a value, and while JAX' `fit` steps, which takes it away and puts
    the last one back. `variable.value` is that of the scope, while tracing a symbol.
    Since 3.0.
    """
    return variable._value


def no_autocast():
    """A context in which variables are read in their own dtype, not the policy's.

    `autocast=False` is for a variable's whole life, this for one use. Since 3.0.
    """
    from keras.src.backend.common import AutocastScope

    return AutocastScope(None)


def compute_output_spec(function, *inputs):
    """What a function of tensors gives for `keras.KerasTensor`s.

    `Operation.compute_output_spec` is public, but is for operations. Since 3.0.
    """
    from keras.src.backend import compute_output_spec

    return compute_output_spec(function, *inputs)


def is_deterministic_tensorflow():
    """Whether TensorFlow's operations were made deterministic.

    `tf.config.experimental` can switch this on, and cannot tell. TensorFlow 2.9.
    """
    from tensorflow.python.framework import config

    return config.is_op_determinism_enabled()


# Optimizers.


def trained_by(optimizer):
    """The variables that a built optimizer trains, in the order of their slots.

    Since 3.0.
    """
    return optimizer._trainable_variables


def train(optimizer, variables):
    """Note the variables that an optimizer trains, of one that builds nothing itself.

    `stateless_apply`, and so JAX' step, maps the values that it is given to them.
    Since 3.0.
    """
    optimizer._trainable_variables = variables


def show_moving_average(optimizer, inner):
    """Let a wrapper show the moving average of weights that the optimizer in it keeps.

    `SwapEMAWeights` looks for it on the optimizer of the model. Since 3.0.
    """
    if inner.use_ema:
        average = inner._model_variables_moving_average
        object.__setattr__(optimizer, "_model_variables_moving_average", average)


def variable_index(optimizer, variable):
    """Which of an optimizer's variables this is, so which slot is its.

    `update_step` is given the variable only, on TensorFlow not even Keras' own.
    Since 3.0.
    """
    return optimizer._get_variable_index(variable)


def mean_squared_gradient(optimizer, variable):
    """The running mean of a variable's squared gradient; None where none is kept.

    Adam and its kin keep one, and RMSprop. Since 3.0.
    """
    kept = getattr(optimizer, "_velocities", None)
    return kept[variable_index(optimizer, variable)] if kept else None


def update_all(optimizer):
    """`(gradients, variables, learning rate)`: the step after all of Keras' clipping.

    It calls `update_step` for each variable. Since 3.0.
    """
    return optimizer._backend_update_step


def set_update_all(optimizer, function):
    """Let an optimizer call another function for `update_all`."""
    _set(optimizer, "_backend_update_step", function)


def set_update_step(optimizer, function):
    """Let an optimizer call another function for the step of one variable.

    `update_step` itself is public, for subclasses. TensorFlow and JAX go through it,
    PyTorch's optimizers step many variables at once.
    """
    _set(optimizer, "update_step", function)


def sum_over_replicas(optimizer):
    """TensorFlow: `(gradients, variables)` pairs -> the same, summed over replicas.

    The last that happens to the gradients before `update_step`; what is clipped before
    is clipped on each replica by its own. Since 3.0.
    """
    return optimizer._all_reduce_sum_gradients


def set_sum_over_replicas(optimizer, function):
    """Let an optimizer call another function for `sum_over_replicas`."""
    _set(optimizer, "_all_reduce_sum_gradients", function)


def _set(optimizer, name, function):
    getattr(optimizer, name)  # a name that is gone must not be set in silence
    # Past Keras' attribute tracking, which would wrap the function.
    object.__setattr__(optimizer, name, function)


# Models.


def set_compiled_optimizer(model, optimizer):
    """Change the optimizer that a saved model compiles itself with.

    Setting `model.optimizer` leaves it, and `compile` forgets the metrics. Since 3.0.
    """
    model._compile_config.config["optimizer"] = optimizer


def compute_loss(model, x, y, y_pred, sample_weight=None):
    """The loss of a compiled model in training.

    The model's `compute_loss` may lack the argument `training`, and Keras finds that
    out. Since 3.3.
    """
    return model._compute_loss(x, y, y_pred, sample_weight, training=True)


def build_all(model, x, y):
    """Make the variables of a compiled model, its loss, metrics and optimizer.

    `fit` does so from its first batch; nothing public does before. Since 3.0.
    """
    model._symbolic_build(data_batch=(x, y))


# Data of a `tf.distribute` strategy.


def cardinality(data):
    """How many batches a distributed dataset says it has.

    Only its first form, which is made of one dataset, tells publicly. TensorFlow 2.4.
    """
    return data._cardinality


def set_cardinality(data, count):
    """Say how many batches a distributed dataset has. Keras takes it for the number
    of steps of an epoch. TensorFlow 2.4."""
    data._cardinality = count


@contextlib.contextmanager
def outside_of_strategies():
    """A context in which no `tf.distribute` scope is open, whatever is around it.

    A strategy's own scope cannot be left, and within it gradients with respect to its
    variables cannot be taken on the host. TensorFlow 2.4.
    """
    from tensorflow.python.distribute import distribute_lib

    distribute_lib._push_per_thread_mode(distribute_lib._DefaultReplicaThreadMode())
    try:
        yield
    finally:
        distribute_lib._pop_per_thread_mode()


# Callbacks.


def decide_direction(callback, model):
    """Whether a callback takes "min" or "max"; the ValueError of its first epoch.

    Keras' callbacks with a `monitor` find out then whether it is better high or low,
    and refuse one of which they do not know. In 3.15; older ones were not looked at.
    """
    import keras

    probe = copy.copy(callback)
    probe.set_model(model)
    probe._set_monitor_op()
    return "max" if probe.monitor_op is keras.ops.greater else "min"


# Keras' own tests, which its wheel ships.


def test_case():
    """The class with `run_layer_test`. Since 3.0."""
    from keras.src.testing import TestCase

    return TestCase


def layer_tests(module):
    """The module with Keras' tests of a kind of layer, such as `"rnn.lstm_test"`. It
    has `layers`, where its tests look layers up. Since 3.0."""
    return importlib.import_module(f"keras.src.layers.{module}")
