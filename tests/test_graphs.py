"""Graphs of models: every call once, in order, and who feeds whom."""

import keras
import numpy as np
import pytest
from keras import layers as kl
from keras import ops

from keras_dlparts import graphs


def named(nodes):
    return [node.operation.name for node in nodes]


def edges(model):
    """{name of an operation: names of what feeds it}, of operations called once."""
    return {node.operation.name: named(node.sources) for node in graphs.nodes(model)}


@pytest.fixture
def x():
    return keras.Input((4,), name="x")


def test_a_sequential_model_is_a_row():
    model = keras.Sequential([keras.Input((4,)), kl.Dense(3, name="a"), kl.ReLU()])
    start, first, last = graphs.nodes(model)
    assert isinstance(start.operation, kl.InputLayer)
    assert named(first.sources) == [start.operation.name]
    assert last.sources == [first]
    assert first.users == [last]
    assert [node.is_output for node in (start, first, last)] == [False, False, True]
    assert first.outputs[0].shape == (None, 3)


def test_a_sequential_model_without_a_shape_is_a_row_without_tensors():
    model = keras.Sequential([kl.Dense(3, name="a"), kl.ReLU(name="b")])
    assert edges(model) == {"a": [], "b": ["a"]}
    assert graphs.outputs(model) == {}
    assert [node.is_output for node in graphs.nodes(model)] == [False, True]
    assert graphs.nodes(keras.Sequential()) == []


def test_operations_are_nodes_like_layers(x):
    y = ops.add(kl.Dense(4, name="a")(x) * 2, x)
    model = keras.Model(x, ops.concatenate([y, y], axis=-1))
    start, a, times, plus, both = graphs.nodes(model)
    assert not isinstance(times.operation, keras.Layer)
    assert (times.sources, plus.sources, both.sources) == (
        [a],
        [times, start],
        [plus] * 2,
    )
    assert (start.users, plus.users) == ([a, plus], [both] * 2)
    assert [node for node in graphs.nodes(model) if node.is_output][-1].users == []


def test_a_shared_layer_has_a_node_for_each_call(x):
    dense = kl.Dense(4, name="a")
    once = dense(x)
    model = keras.Model(x, [once, dense(once)])
    other = keras.Model(x, kl.ReLU()(dense(kl.ReLU()(x))))  # its calls are no business
    start, first, second = graphs.nodes(model)
    assert first.operation is second.operation is dense
    assert (first.sources, second.sources) == ([start], [first])
    assert first.is_output
    assert second.is_output
    assert graphs.outputs(model)[id(dense)] == first.outputs
    assert len(graphs.nodes(other)) == 4
    assert graphs.outputs(other)[id(dense)] is not first.outputs


def test_several_inputs_and_outputs_by_name(x):
    z = keras.Input((4,), name="z")
    left, right = kl.Dense(2, name="left")(x), kl.Add(name="right")([z, x])
    model = keras.Model({"x": x, "z": z}, {"l": left, "r": right})
    assert edges(model) == {"x": [], "z": [], "left": ["x"], "right": ["z", "x"]}
    outputs = {n.operation.name for n in graphs.nodes(model) if n.is_output}
    assert outputs == {"left", "right"}


def test_the_order_is_that_of_the_computation(x):
    long = kl.Dense(4, name="c")(kl.Dense(4, name="b")(kl.Dense(4, name="a")(x)))
    model = keras.Model(x, kl.Add(name="sum")([x, long]))
    assert named(graphs.nodes(model)) == ["x", "a", "b", "c", "sum"]


def test_a_model_between_two_inner_tensors(x):
    middle = kl.Dense(3, name="a")(x)
    model = keras.Model(middle, kl.Dense(2, name="b")(middle))
    start, b = graphs.nodes(model)
    assert isinstance(start.operation, kl.InputLayer)
    assert b.sources == [start]


def test_a_nested_model_is_one_node_and_all_its_layers(x):
    inner = keras.Sequential([kl.Dense(4, name="a"), kl.ReLU(name="b")], name="inner")
    wrapped = kl.TimeDistributed(kl.Dense(2, name="d"), name="wrapped")
    y = wrapped(kl.Reshape((1, 4), name="shape")(inner(x)))
    model = keras.Model(x, y, name="outer")
    assert edges(model) == {
        "x": [],
        "inner": ["x"],
        "shape": ["inner"],
        "wrapped": ["shape"],
    }
    assert {n.name for n in graphs.layers(model)} >= {"outer", "inner", "a", "b", "d"}
    assert graphs.layers(model)[0] is model
    assert model not in graphs.layers(model, itself=False)
    assert {leaf.name for leaf in graphs.leaves(model)} >= {"x", "a", "b", "shape", "d"}
    assert not {leaf.name for leaf in graphs.leaves(model)} & {"inner", "wrapped"}


class Own(keras.Model):
    def __init__(self):
        super().__init__()
        self.a, self.b = kl.Dense(2, name="a"), kl.Dense(2, name="b")

    def call(self, x):
        return self.b(self.a(x))


def test_a_subclassed_model_has_layers_and_no_graph():
    model = Own()
    model(np.ones((1, 2)))
    assert not graphs.has_graph(model)
    assert {leaf.name for leaf in graphs.leaves(model)} == {"a", "b"}


@keras.saving.register_keras_serializable("tests")
class Twice(keras.Model):
    """Functional by its constructor; its own `call` does something else."""

    def call(self, x, training=None):
        return 2 * super().call(x, training=training)


class Kept(keras.Model):
    """Functional by its constructor."""


class Row(keras.Sequential):
    def call(self, x, training=None):
        return 2 * super().call(x, training=training)


def test_a_call_of_its_own_hides_the_graph(x):
    y = kl.Dense(2)(x)
    assert graphs.is_functional(keras.Model(x, y))
    assert graphs.is_functional(Kept(x, y))
    assert not graphs.has_graph(Twice(x, y))
    assert not graphs.has_graph(Row([keras.Input((4,)), kl.Dense(2)]))
    assert not graphs.is_functional(keras.Sequential())
    assert not graphs.has_graph(kl.Dense(2))
