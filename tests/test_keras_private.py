"""A test for each private name of Keras and TensorFlow that the package uses.

Each shows what the package needs of the name, so it fails when the name is gone and
when it has come to mean something else. The first ones would go wrong in silence.
"""

import ast
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from keras_dlparts import backend, static
from keras_dlparts.backend import keras_private
from keras_dlparts.config import signature

only_tensorflow = pytest.mark.skipif(
    backend.name() != "tensorflow", reason="a private name of TensorFlow's own step"
)


class Plain(keras.optimizers.Optimizer):
    """w <- w - r g, with the calls that reach `update_step` noted."""

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, ops.cast(learning_rate, gradient.dtype) * gradient)


def one_step(optimizer, gradient=(1.0, 2.0)):
    """What an optimizer makes of a variable of zeros."""
    variable = keras.Variable(np.zeros(2, "float32"))
    optimizer.build([variable])
    optimizer.apply([ops.convert_to_tensor(gradient)])
    return ops.convert_to_numpy(variable).tolist()


def test_every_function_here_has_a_test():
    functions = {
        name
        for name, value in vars(keras_private).items()
        if inspect.isfunction(value) and value.__module__ == keras_private.__name__
    }
    own = ast.parse(Path(__file__).read_text())
    taken = {node.attr for node in ast.walk(own) if isinstance(node, ast.Attribute)}
    assert {f for f in functions if f[0] != "_"} - taken == set()


# What would go wrong in silence.


def test_a_direction_that_keras_cannot_tell_is_refused():
    model = keras.Sequential([keras.Input((1,)), kl.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae", keras.metrics.R2Score()])
    model.evaluate(np.ones((2, 1)), np.ones((2, 1)), verbose=0)  # builds the metrics
    for monitor in ("loss", "val_loss", "val_mae"):
        callback = keras.callbacks.EarlyStopping(monitor, min_delta=1.0)
        assert keras_private.decide_direction(callback, model) == "min"
        assert (callback.monitor_op, callback.min_delta) == (None, 1.0)
    callback = keras.callbacks.EarlyStopping("val_r2_score")
    assert keras_private.decide_direction(callback, model) == "max"
    callback = keras.callbacks.ReduceLROnPlateau("learning_rate")
    with pytest.raises(ValueError, match="isn't able to automatically determine"):
        keras_private.decide_direction(callback, model)


def test_update_all_is_the_step_of_every_optimizer():
    optimizer, seen = Plain(0.5, clipvalue=1.5), []
    step = keras_private.update_all(optimizer)

    def noted(gradients, variables, learning_rate):
        seen.extend(ops.convert_to_numpy(g).tolist() for g in gradients)
        step([10 * g for g in gradients], variables, learning_rate)

    keras_private.set_update_all(optimizer, noted)
    assert one_step(optimizer) == [-5.0, -7.5]
    assert seen == [[1.0, 1.5]]  # after Keras' own clipping


@only_tensorflow
def test_update_step_is_the_step_of_one_variable():
    optimizer, seen = Plain(0.5, clipvalue=1.5), []
    step = optimizer.update_step

    def noted(gradient, variable, learning_rate):
        seen.append(gradient.numpy().tolist())
        step(10 * gradient, variable, learning_rate)

    keras_private.set_update_step(optimizer, noted)
    assert one_step(optimizer) == [-5.0, -7.5]
    assert seen == [[1.0, 1.5]]  # after Keras' own clipping


@only_tensorflow
def test_sum_over_replicas_is_the_last_before_the_update():
    optimizer, seen = Plain(0.5), []
    reduce = keras_private.sum_over_replicas(optimizer)

    def noted(pairs):
        pairs = [*reduce(pairs)]
        seen.extend(g.numpy().tolist() for g, _ in pairs)
        return [(10 * g, v) for g, v in pairs]

    keras_private.set_sum_over_replicas(optimizer, noted)
    assert one_step(optimizer) == [-5.0, -10.0]
    assert seen == [[1.0, 2.0]]


def test_a_method_that_is_gone_is_not_set():
    """Setting an attribute that Keras never calls would leave out what it does."""
    with pytest.raises(AttributeError):
        keras_private.set_update_all(object(), print)
    with pytest.raises(AttributeError):
        keras_private.set_update_step(object(), print)
    with pytest.raises(AttributeError):
        keras_private.set_sum_over_replicas(object(), print)


class Inner(kl.Layer):
    """A layer with a generator, a weight, and a layer that has both too."""

    def __init__(self, depth=1, **kwargs):
        super().__init__(**kwargs)
        self.seeds = keras.random.SeedGenerator(3)
        self.inner = Inner(depth - 1, name="inner") if depth else None

    def build(self, shape):
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")
        self.count = self.add_weight(shape=(), trainable=False, name="count")
        if self.inner is not None:
            self.inner.build(shape)

    def call(self, x, training=False):
        self.add_loss(ops.sum(x))
        return x * self.scale


def test_seed_generators_are_a_layers_own():
    layer = Inner()
    (own,) = keras_private.seed_generators(layer)
    assert own is layer.seeds
    assert keras_private.seed_generators(kl.Dense(3)) == []
    dropout = kl.Dropout(0.5)
    assert keras_private.seed_generators(dropout) == [dropout.seed_generator]


def test_a_generators_class_may_be_replaced_in_place():
    """Its subclass draws, and its state stays a variable of the model."""
    model = keras.Sequential([keras.Input((50,)), kl.Dropout(0.5, seed=1)])
    (generator,) = keras_private.seed_generators(model.layers[0])
    plain = keras.random.SeedGenerator(1)
    assert vars(generator).keys() == vars(backend.SeedGenerator(1)).keys()
    backend.own_draws(model)
    assert type(generator) is backend.SeedGenerator
    assert model.layers[0].seed_generator is generator
    np.testing.assert_array_equal(
        ops.convert_to_numpy(generator.next()), ops.convert_to_numpy(plain.next())
    )
    before = ops.convert_to_numpy(generator.state)[1]
    model(np.ones((2, 50), "float32"), training=True)
    assert ops.convert_to_numpy(generator.state)[1] > before
    assert [v is generator.state for v in model.non_trainable_variables] == [True]


def test_seed_states_are_those_of_all_generators():
    model = keras.Sequential(
        [keras.Input((4,)), Inner(), kl.Dropout(0.5), kl.BatchNormalization()]
    )
    layers = keras_private.layers_in(model)
    generators = [g for la in layers for g in keras_private.seed_generators(la)]
    assert len(generators) == 3
    found = keras_private.seed_states(model)
    assert {id(v) for v in found} == {id(g.state) for g in generators}
    state = ops.convert_to_numpy(keras.random.SeedGenerator(7).state)
    assert state.tolist() == [7, 0]  # the seed, then how many were drawn


def test_seed_states_leave_out_sums_that_pose_as_a_generator():
    class Summing(kl.Layer):
        def __init__(self):
            super().__init__()
            self.sums = backend.RunningSums(2)

    layer = Summing()
    assert keras_private.seed_generators(layer) == [layer.sums]
    assert keras_private.seed_states(keras.Sequential([layer])) == []


def test_names_count_from_the_start_and_go_on_as_before():
    kl.Dense(1)
    before = kl.Dense(1).name
    with keras_private.names_from_the_start():
        assert [kl.Dense(1).name for _ in range(2)] == ["dense", "dense_1"]
        assert keras.random.SeedGenerator(1).name == "seed_generator"
    after = kl.Dense(1).name
    assert int(after.rpartition("_")[2]) == int(before.rpartition("_")[2]) + 1


def test_the_base_layers_module_ends_the_walk_of_arguments():
    assert kl.Layer.__module__ == keras_private.LAYER_MODULE
    assert "activity_regularizer" in signature.arguments(kl.Dense)
    assert "name" not in signature.own_arguments(kl.Dense)


def test_the_base_optimizers_source_is_where_it_is_read():
    module, name = keras_private.BASE_OPTIMIZER
    base = getattr(importlib.import_module(module), name)
    assert issubclass(keras.optimizers.Optimizer, base)
    told = [name for name, _ in static.describe(f"{module}:{name}").arguments]
    taken = inspect.signature(base.__init__).parameters
    assert told == [n for n in taken if n not in ("self", "kwargs")]
    assert "clipnorm" in told


# Graphs.


@pytest.fixture
def graph():
    """x -> dense -> * 2 -> add(x) -> out, and one call of `dense` outside of it."""
    x = keras.Input((3,), name="x")
    dense = kl.Dense(3, name="dense")
    doubled = dense(x) * 2
    model = keras.Model(x, kl.Add(name="add")([doubled, x]))
    dense(keras.Input((3,)))
    return model, x, doubled, dense


def test_nodes_by_depth_are_the_calls_of_the_model(graph):
    model, x, doubled, _ = graph
    by_depth = keras_private.nodes_by_depth(model)
    assert sorted(by_depth) == [0, 1, 2, 3]
    names = [[n.operation.name for n in by_depth[d]] for d in range(4)]
    assert names[0] == ["add"]
    assert names[2:] == [["dense"], ["x"]]
    (add,) = by_depth[0]
    assert [t is u for t, u in zip(add.input_tensors, [doubled, x], strict=True)] == [
        True,
        True,
    ]
    assert add.output_tensors[0] is model.outputs[0]
    assert {node.operation.name for node in add.parent_nodes} == {names[1][0], "x"}
    assert not by_depth[3][0].parent_nodes
    assert add.arguments.args[0][1] is x


def test_inbound_and_outbound_nodes_are_of_all_models(graph):
    model, _, doubled, dense = graph
    first, second = keras_private.inbound_nodes(dense)
    nodes = [n for same in keras_private.nodes_by_depth(model).values() for n in same]
    assert first in nodes
    assert second not in nodes
    (user,) = keras_private.outbound_nodes(dense)
    assert user.output_tensors[0] is doubled


def test_history_leads_to_the_call_that_made_a_tensor(graph):
    _, x, doubled, dense = graph
    (tensor,) = keras_private.inbound_nodes(keras_private.history(doubled).operation)[
        0
    ].input_tensors
    operation, node, at = keras_private.history(tensor)
    assert operation is dense
    assert keras_private.inbound_nodes(dense)[node].output_tensors[at] is tensor
    assert keras_private.inbound_nodes(keras_private.history(x).operation)[0].is_input


def test_a_mask_is_seen_by_losses_and_metrics():
    y = ops.convert_to_tensor([[1.0], [2.0]])
    assert keras_private.mask_of(y) is None
    mask = ops.convert_to_tensor([[True], [False]])
    keras_private.set_mask(y, mask)
    assert keras_private.mask_of(y) is mask
    metric = keras.metrics.MeanSquaredError()
    metric.update_state(np.zeros((2, 1)), y)
    assert ops.convert_to_numpy(metric.result()) == 1
    loss = keras.losses.MeanAbsoluteError()(np.zeros((2, 1)), y)
    assert ops.convert_to_numpy(loss) == 1


def test_functional_models_are_told_from_others(graph):
    class Graph(keras.Model):
        def __init__(self):
            x = keras.Input((3,))
            super().__init__(x, kl.Dense(2)(x))

    class Subclassed(keras.Model):
        pass

    assert keras_private.is_functional(graph[0])
    assert keras_private.is_functional(Graph())
    sequential = keras.Sequential([keras.Input((3,)), kl.Dense(2)])
    for other in (Subclassed(), sequential, kl.Dense(2)):
        assert not keras_private.is_functional(other)


def test_a_built_sequential_keeps_a_graph():
    model = keras.Sequential([kl.Dense(2)])
    assert keras_private.graph_in(model) is None
    model.build((None, 3))
    inner = keras_private.graph_in(model)
    assert keras_private.is_functional(inner)
    assert inner.layers[-1] is model.layers[0]
    assert inner.outputs[0] is model.outputs[0]


# Layers.


def test_layers_in_has_every_layer_once_and_goes_into_all():
    shared = kl.Dense(2)
    layer = Inner()
    model = keras.Sequential([keras.Input((2,)), shared, layer, shared])
    found = keras_private.layers_in(model)
    assert found[0] is model
    assert [*map(id, found)].count(id(shared)) == 1
    assert layer.inner in found
    assert model not in keras_private.layers_in(model, include_self=False)
    direct = keras_private.layers_in(model, recursive=False)
    assert layer in direct
    assert layer.inner not in direct


def test_the_outermost_layer_is_the_one_that_was_called():
    found = []

    class Asks(kl.Layer):
        def call(self, x):
            found.append(keras_private.outermost_layer())
            return x

    asks = Asks()
    model = keras.Sequential([asks])
    model(np.ones((1, 2)))
    assert found[-1] is model
    asks(np.ones((1, 2)))
    assert found[-1] is asks
    assert keras_private.outermost_layer() is None


def test_the_pass_under_way_is_the_same_for_all_of_its_layers():
    seen = []

    class Asks(kl.Layer):
        def call(self, x):
            seen.append(keras_private.pass_under_way())
            return x

    model = keras.Sequential([Asks(), Asks()])
    x = ops.ones((1, 2))
    model(x)
    seen.clear()
    model(x)
    model(x)
    model.stateless_call([], [], x)
    for first, second in zip(seen[::2], seen[1::2], strict=True):
        assert first is second
    assert len({*map(id, seen)}) == 3
    assert keras_private.pass_under_way() is None


def test_takes_training_is_of_the_call():
    class Anything(kl.Layer):
        def call(self, x, **kwargs):
            return x

    assert keras_private.takes_training(kl.Dropout(0.5))
    assert keras_private.takes_training(Inner())
    assert not keras_private.takes_training(kl.Reshape((2,)))
    assert not keras_private.takes_training(Anything())


def test_build_at_init_leaves_the_build_of_a_subclass():
    class Weightless(kl.Layer):
        def __init__(self):
            super().__init__()
            keras_private.build_at_init(self)

    class Built(Weightless):
        def build(self, shape):
            self.w = self.add_weight(shape=())

        def call(self, x):
            return x * self.w

    assert Weightless().built
    layer = Built()
    assert not layer.built
    layer(np.ones((2, 3), "float32"))
    assert layer.w is not None


def test_own_variables_are_without_those_of_inner_layers():
    layer = Inner()
    layer.build((None, 2))
    assert keras_private.own_trainable_variables(layer) == [layer.scale]
    assert keras_private.own_variables(layer) == [layer.scale, layer.count]
    layer.trainable = False
    assert keras_private.own_trainable_variables(layer) == [layer.scale]


def test_own_losses_are_those_added_in_the_last_call():
    layer = Inner()
    assert keras_private.own_losses(layer) == []
    for _ in range(2):
        layer(np.ones((2, 3), "float32"))
    (loss,) = keras_private.own_losses(layer)
    assert float(loss) == 6.0
    plain = kl.Dense(1, kernel_regularizer="l2")
    plain(np.ones((2, 3), "float32"))
    assert keras_private.own_losses(plain) == []
    assert plain.losses


def test_losses_of_call_are_those_of_the_outermost_layer_and_of_all_in_it():
    seen = []

    class Looks(kl.Layer):
        def call(self, x):
            seen.append([len(each) for each in keras_private.losses_of_call()])
            return x

    inner = Inner(depth=0)
    model = keras.Sequential([inner, Looks()])
    model(np.ones((2, 3), "float32"))
    own = keras_private.layers_in(model).index(inner)
    assert len(seen[-1]) == len(keras_private.layers_in(model))
    assert seen[-1][own] == sum(seen[-1]) == 1, "of the layer that was called before"


# Tracing.


def test_stateless_scope_is_told():
    assert not keras_private.in_stateless_scope()
    with keras.StatelessScope():
        assert keras_private.in_stateless_scope()


def test_own_value_is_that_outside_of_a_scope():
    variable = keras.Variable(2.0)
    with keras.StatelessScope([(variable, ops.convert_to_tensor(5.0))]):
        assert float(ops.convert_to_numpy(variable.value)) == 5
        own = keras_private.own_value(variable)
    assert float(ops.convert_to_numpy(ops.stop_gradient(own))) == 2


@pytest.mark.skipif(backend.name() != "jax", reason="only JAX' fit has a state apart")
def test_own_value_is_gone_while_fit_traces_its_step():
    seen = {}

    class Sees(kl.Dense):
        def call(self, x, training=False):
            own = keras_private.own_value(self.kernel)
            seen[training] = None if own is None else ops.convert_to_numpy(own).tolist()
            return super().call(x)

    model = keras.Sequential([keras.Input((1,)), Sees(1, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    model.fit(np.zeros((2, 1)), np.zeros((2, 1)), verbose=0)
    assert seen == {False: [[1.0]], True: None}


def test_no_autocast_reads_a_variable_in_its_own_dtype():
    class Reads(kl.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(), name="w")

        def call(self, x):
            plain = keras.backend.standardize_dtype((self.w + 0).dtype)
            with keras_private.no_autocast():
                inside = keras.backend.standardize_dtype((self.w + 0).dtype)
            self.seen = plain, inside
            return x

    layer = Reads(dtype="mixed_float16")
    layer(np.ones((2, 3), "float32"))
    assert layer.seen == ("float16", "float32")


def test_output_spec_is_symbolic_and_changes_nothing():
    counted = keras.Variable(0.0)

    def function(x):
        counted.assign(counted + 1)
        return ops.sum(x, axis=-1)

    spec = keras_private.compute_output_spec(function, keras.KerasTensor((None, 3, 2)))
    assert isinstance(spec, keras.KerasTensor)
    assert spec.shape == (None, 3)
    assert float(ops.convert_to_numpy(counted)) == 0


@only_tensorflow
def test_determinism_is_told():
    from tensorflow.python.framework import config

    before = keras_private.is_deterministic_tensorflow()
    try:
        config.enable_op_determinism()
        assert keras_private.is_deterministic_tensorflow()
        config.disable_op_determinism()
        assert not keras_private.is_deterministic_tensorflow()
    finally:
        if before:
            config.enable_op_determinism()


# Optimizers and models.


def test_trained_variables_stand_in_the_order_of_their_slots():
    optimizer = keras.optimizers.SGD(momentum=0.9)
    variables = [keras.Variable(np.zeros(n, "float32")) for n in (2, 3)]
    optimizer.build(variables)
    assert [*map(id, keras_private.trained_by(optimizer))] == [*map(id, variables)]
    at = [keras_private.variable_index(optimizer, v) for v in variables]
    assert at == [0, 1]
    assert [tuple(m.shape) for m in optimizer.momentums] == [(2,), (3,)]


@pytest.mark.skipif(
    backend.name() == "tensorflow", reason="there Keras has no stateless step"
)
def test_train_notes_what_is_trained():
    """A stateless step then maps the values that it is given to them."""

    class Outer(keras.optimizers.Optimizer):
        @property
        def variables(self):
            return inner.variables

        def apply(self, grads, trainable_variables=None):
            inner.apply(grads)

    inner, variable = Plain(0.5), keras.Variable(0.0)
    inner.build([variable])
    outer = Outer(0.0)
    outer.built = True
    keras_private.train(outer, keras_private.trained_by(inner))
    state = [v.value for v in outer.variables]
    (value,), _ = outer.stateless_apply(
        state, [ops.convert_to_tensor(1.0)], [ops.convert_to_tensor(3.0)]
    )
    assert float(ops.convert_to_numpy(value)) == 2.5


def test_a_shown_moving_average_is_what_keras_swaps_in():
    model = keras.Sequential([keras.Input((2,)), kl.Dense(1, use_bias=False)])
    inner = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    inner.build(model.trainable_variables)
    outer = Plain(0.5)
    keras_private.train(outer, keras_private.trained_by(inner))
    keras_private.show_moving_average(outer, inner)
    for _ in range(2):  # the first step's weights begin the average
        inner.apply([ops.ones((2, 1))])
    (kernel,) = model.get_weights()
    model.compile(outer, "mse")
    swap = keras.callbacks.SwapEMAWeights()
    swap.set_model(model)
    swap.on_test_begin()
    average = (kernel + 0.5 + kernel) / 2
    np.testing.assert_allclose(model.get_weights()[0], average, rtol=1e-6)


def test_a_compiled_models_optimizer_is_the_one_that_is_saved():
    model = keras.Sequential([keras.Input((2,)), kl.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    keras_private.set_compiled_optimizer(model, keras.optimizers.Adam(0.25))
    config = model.get_compile_config()
    assert config["optimizer"]["class_name"] == "Adam"
    assert config["optimizer"]["config"]["learning_rate"] == 0.25
    assert config["metrics"] == ["mae"]


def test_compute_loss_is_the_models_own_with_or_without_training():
    class Own(keras.Sequential):
        def compute_loss(self, x, y, y_pred, sample_weight):
            return x + y + y_pred

    class WithTraining(Own):
        def compute_loss(self, x, y, y_pred, sample_weight, training):
            return x + y + y_pred if training else 0

    for kind in (Own, WithTraining):
        model = kind([keras.Input((2,)), kl.Dense(1)])
        model.compile()
        assert keras_private.compute_loss(model, 1, 2, 4) == 7


def test_build_all_makes_the_variables_that_a_step_needs():
    model = keras.Sequential([kl.Dense(1)])
    model.compile("adam", "mse", metrics=["mae"])
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    keras_private.build_all(model, x, y)
    counts = len(model.weights), len(model.metrics_variables)
    assert model.optimizer.built
    model.train_on_batch(x, y)
    assert counts == (len(model.weights), len(model.metrics_variables))
    assert counts == (2, 4)  # loss and mae, each a total and a count


# Data.


@only_tensorflow
def test_cardinality_of_distributed_data_is_what_keras_takes_for_its_steps():
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    data = strategy.distribute_datasets_from_function(
        lambda context: tf.data.Dataset.range(6).map(lambda i: ([1.0], [1.0])).batch(1)
    )
    assert int(keras_private.cardinality(data)) == 6
    keras_private.set_cardinality(data, 4)
    assert int(keras_private.cardinality(data)) == 4
    with strategy.scope():
        model = keras.Sequential([keras.Input((1,)), kl.Dense(1)])
        model.compile("sgd", "mse")
    count = keras.callbacks.Callback()
    model.fit(data, verbose=0, shuffle=False, callbacks=[count])
    assert count.params["steps"] == 4


@only_tensorflow
def test_outside_of_strategies_no_scope_is_open():
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        with keras_private.outside_of_strategies():
            assert not tf.distribute.has_strategy()
            assert tf.distribute.get_replica_context() is not None
        assert tf.distribute.in_cross_replica_context()


# Keras' own tests.


def test_keras_test_case_tests_a_layer():
    run = keras_private.test_case()().run_layer_test
    options = {"init_kwargs": {"units": 2}, "input_shape": (2, 3)}
    parameters = inspect.signature(run).parameters
    assert {*options, "expected_output_shape", "run_training_check"} <= {*parameters}
    with pytest.raises(AssertionError):
        run(
            kl.Dense,
            **options,
            expected_output_shape=(2, 5),
            run_training_check=False,
            run_mixed_precision_check=False,
        )


def test_layer_tests_are_found_with_what_they_look_up():
    tests = keras_private.layer_tests("rnn.lstm_test")
    # Another test in this process may have put a layer of ours in the place of Keras'.
    assert issubclass(tests.layers.LSTM, keras.layers.RNN)
    assert issubclass(tests.LSTMTest, keras_private.test_case())


# The versions.


@pytest.mark.parametrize("version", ["3.15.0", "3.15.12", "3.15.0rc1"])
def test_a_version_that_was_tried_is_passed_over(version):
    keras_private.warn_if_untried(version)  # warnings are errors here


@pytest.mark.parametrize("version", ["3.14.9", "3.16.0.dev2026102704", "4.0.0"])
def test_a_version_that_was_not_tried_is_told(version):
    with pytest.warns(UserWarning, match=f"from 3.15 on, before 3.16.*{version}"):
        keras_private.warn_if_untried(version)


@pytest.mark.long
def test_the_warning_comes_once_at_first_use():
    program = """if True:
        import sys, warnings
        import keras
        keras.__version__ = "3.99.0"
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            from keras_dlparts.backend import keras_private
            print(len(caught))
            import keras_dlparts.layers
            from keras_dlparts import backend
            backend.name(), backend.can_compile()
        print([str(w.message)[:26] for w in caught if "tested" in str(w.message)])
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == ["0", "['keras-dlparts was tested w']"]


def test_private_names_are_read_without_a_backend():
    program = (
        "import sys; from keras_dlparts.backend import keras_private as p;"
        "print(p.LAYER_MODULE, 'keras' in sys.modules, 'numpy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [keras_private.LAYER_MODULE, "False", "False"]


def test_the_mean_squared_gradient_is_what_adam_and_rmsprop_keep():
    for optimizer, share in (
        (keras.optimizers.Adam(0.1, beta_2=0.75), 0.25),
        (keras.optimizers.RMSprop(0.1, rho=0.5), 0.5),
    ):
        variables = [keras.Variable(np.zeros(n, "float32")) for n in (2, 3)]
        optimizer.build(variables)
        gradients = [ops.convert_to_tensor(np.full(n, n, "float32")) for n in (2, 3)]
        optimizer.apply(gradients)
        kept = keras_private.mean_squared_gradient(optimizer, variables[1])
        np.testing.assert_allclose(ops.convert_to_numpy(kept), share * np.full(3, 9.0))
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(variables)
    assert keras_private.mean_squared_gradient(optimizer, variables[0]) is None
