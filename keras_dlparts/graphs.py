"""Models as graphs: what a model calls, in which order, and who feeds whom.

    operation   a layer, a nested model, or what an expression such as `x * 2` or
                `keras.ops.add(a, b)` becomes in a functional model
    node        one call of an operation; a shared layer has a node for each call
    layer       any layer inside a model, nested and wrapped ones included
    leaf        a layer with no other layer inside

Functional and Sequential models have nodes. In a subclassed model the order is in its
code: it has layers and leaves only.
"""

import dataclasses
import itertools

import keras

from keras_dlparts.backend import keras_private


@dataclasses.dataclass(eq=False, repr=False)
class Node:
    """One call of an operation in a model.

    Args:
        operation: What is called. Two nodes may call the same.
        outputs: The symbolic tensors that come out; empty in a Sequential model that
            was built without them.
        sources: The nodes whose outputs go in, one for each tensor.
        users: The nodes that these outputs go into, one for each tensor.
        is_output: Whether an output of the model is among these outputs.
    """

    operation: keras.Operation
    outputs: list = dataclasses.field(default_factory=list)
    sources: list = dataclasses.field(default_factory=list)
    users: list = dataclasses.field(default_factory=list)
    is_output: bool = False

    def __repr__(self):
        return f"<Node {self.operation.name}>"

    @property
    def only_user(self):
        """The node that alone takes what comes out, or None."""
        return self.users[0] if len(self.users) == 1 and not self.is_output else None

    def feeds(self, user):
        """Note that an output of this node goes into another."""
        self.users.append(user)
        user.sources.append(self)


def has_graph(model: keras.Layer) -> bool:
    """Whether the order of a model's layers is known without running its code.

    It is for Sequential and Functional models, unless a subclass has a `call` of its
    own.

    >>> has_graph(keras.Sequential()), has_graph(keras.layers.Dense(1))
    (True, False)
    """
    return is_functional(model) or (
        isinstance(model, keras.Sequential) and not _has_own_call(model)
    )


def is_functional(model: keras.Layer) -> bool:
    """Whether a model was made of symbolic inputs and outputs, with no other `call`."""
    return keras_private.is_functional(model) and not _has_own_call(model)


def _has_own_call(model):
    return not type(model).call.__module__.startswith("keras.")


def nodes(model: keras.Model) -> list[Node]:
    """The nodes of a model in the order of computation, its inputs included.

    Args:
        model: A model that has a graph; see `has_graph`. Nested models are one node.

    Returns: a list of `Node`.

    Example:

    >>> x = keras.Input((3,), name="x")
    >>> y = keras.layers.Dense(3, name="y")(x)
    >>> found = nodes(keras.Model(x, keras.layers.Add(name="sum")([x, y])))
    >>> found, found[2].sources
    ([<Node x>, <Node y>, <Node sum>], [<Node x>, <Node y>])
    """
    graph = model if is_functional(model) else keras_private.graph_in(model)
    if graph is None:
        return _in_a_row(model)
    by_depth = keras_private.nodes_by_depth(graph)
    kept = {id(tensor) for tensor in graph.outputs}
    found, makers = [], {}
    for own in (
        one for depth in sorted(by_depth, reverse=True) for one in by_depth[depth]
    ):
        node = Node(own.operation, own.output_tensors)
        node.is_output = any(id(tensor) in kept for tensor in node.outputs)
        for tensor in own.input_tensors:
            makers[id(tensor)].feeds(node)
        makers |= {id(tensor): node for tensor in node.outputs}
        found.append(node)
    return found


def _in_a_row(model):
    """The nodes of a Sequential model that was never called on symbolic tensors."""
    found = [Node(layer) for layer in model.layers]
    for one, after in itertools.pairwise(found):
        one.feeds(after)
    for last in found[-1:]:
        last.is_output = True
    return found


def outputs(model: keras.Model) -> dict:
    """{id of an operation: the symbolic tensors of its first call} in a model.

    `layer.output` is of the layer's first call too, but in whichever model that was.
    """
    found = {}
    for node in nodes(model):
        if node.outputs:
            found.setdefault(id(node.operation), node.outputs)
    return found


def layers(model: keras.Layer, itself: bool = True) -> list[keras.Layer]:
    """All layers inside a model or layer, nested and wrapped ones too, each once.

    Args:
        model: A layer or model.
        itself: Whether it is the first in the list.

    Example:

    >>> inner = keras.Sequential([keras.layers.Dense(1, name="a")], name="inner")
    >>> model = keras.Sequential([inner, keras.layers.ReLU(name="b")])
    >>> [layer.name for layer in layers(model, itself=False)]
    ['inner', 'a', 'b']
    """
    return keras_private.layers_in(model, include_self=itself)


def leaves(model: keras.Layer) -> list[keras.Layer]:
    """The layers with no layer inside, nested and wrapped ones included.

    >>> inner = keras.Sequential([keras.layers.Dense(1, name="a")], name="inner")
    >>> model = keras.Sequential([inner, keras.layers.ReLU(name="b")])
    >>> [layer.name for layer in leaves(model)]
    ['a', 'b']
    """
    return [one for one in layers(model, itself=False) if not layers(one, itself=False)]
