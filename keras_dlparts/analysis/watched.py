"""One pass through a model with every call of a layer noted, for any model of Keras.

A call is noted with what goes in, the pre-activation where the layer applies an
activation of its own, and what comes out. Of layers inside layers the innermost whose
values can be seen are noted, so that nested, shared and subclassed models need no
graph: a shared layer has a call each time it is used. A recurrent layer is unrolled for
the pass; the steps of its cell belong to the recurrent layer's one call.
"""

import contextlib
from dataclasses import dataclass, field
from typing import Any

import keras
from keras import ops

from keras_dlparts import backend, graphs


@dataclass(eq=False)
class Call:
    """One call of a layer or operation in a pass.

    Args:
        layer: What was called.
        number: Which call of this layer it is in the pass, from 0.
        inputs: The one tensor of floats that goes in, or None if there are several.
        pre: The pre-activation, a tensor, or None where the layer applies none.
        activation: The function applied to it.
        output: The one tensor of floats that comes out, or None.
        steps: Of a layer that repeats what is inside: the calls of that, in time.
    """

    layer: Any
    number: int
    inputs: Any = None
    pre: Any = None
    activation: Any = None
    output: Any = None
    steps: list = field(default_factory=list)
    inner: bool = False  # whether a call within it was noted

    @property
    def key(self):
        """The same in every pass."""
        return id(self.layer), self.number

    @property
    def name(self):
        """The layer's name, with the number of the call where it is not the first."""
        again = f" (call {self.number + 1})" if self.number else ""
        return f"{self.layer.name}{again}"


def repeats(layer):
    """Whether what is inside a layer is called once for each time step."""
    return isinstance(layer, keras.layers.RNN | keras.layers.TimeDistributed)


def _operations(model):
    """The operations in a model's graph that are no layers, nested ones included."""
    for one in graphs.layers(model):
        if graphs.has_graph(one) and one.built:
            for node in graphs.nodes(one):
                if not isinstance(node.operation, keras.Layer):
                    yield node.operation


def watched_pass(model, run, add=None):
    """(what `run()` gives, the calls of a model's layers, the calls around those).

    The calls stand in the order of computation.

    Args:
        model: A model; `run` calls it.
        run: A function without arguments.
        add: Optional `add(key, place, tensor) -> tensor`, to change what goes in
            (`"inputs"`), a pre-activation (`"pre"`) or what comes out (`"output"`).
    """
    layers = [
        layer
        for layer in graphs.layers(model, itself=False)
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    watcher = _Watcher(add or (lambda key, place, tensor: tensor))
    watched = [*layers, *_operations(model)]
    with (
        backend.intercepted(watched, watcher.wrap),
        _activations(layers, watcher),
        _unrolled(layers),
    ):
        found = run()
    return found, watcher.calls, watcher.around


class _Watcher:
    """Notes calls as they happen."""

    def __init__(self, add):
        self.add, self.calls, self.around = add, [], []
        self.stack, self.counts = [], {}

    def wrap(self, layer, call):
        def watched(*arguments, **more):
            number = self.counts.get(id(layer), 0)
            self.counts[id(layer)] = number + 1
            note = Call(layer, number)
            if arguments and _is_floats(arguments[0]):
                moved = self.add(note.key, "inputs", arguments[0])
                note.inputs, arguments = arguments[0], (moved, *arguments[1:])
            self.stack.append(note)
            try:
                out = call(*arguments, **more)
            finally:
                self.stack.pop()
            return self._finish(note, out)

        return watched

    def _finish(self, note, out):
        tensors = [t for t in keras.tree.flatten(out) if _is_floats(t)]
        # A recurrent cell gives its output twice: to the next layer and as a state.
        first = tensors[0] if tensors else None
        parent = self.stack[-1] if self.stack else None
        in_loop = parent is not None and repeats(parent.layer)
        if first is not None and (len({*map(id, tensors)}) == 1 or in_loop):
            moved = self.add(note.key, "output", first)
            note.output = first if moved is first else moved
            out = keras.tree.map_structure(lambda t: moved if t is first else t, out)
        seen = backend.known(first) is not None if first is not None else False
        if in_loop:
            parent.steps.append(note)
        elif any(repeats(above.layer) for above in self.stack):
            pass  # it is within a step
        elif note.inner:
            self.around.append(note)
        elif seen or note.steps:
            self.calls.append(note)
            for above in self.stack:
                above.inner = True
        return out


def _is_floats(tensor):
    return ops.is_tensor(tensor) and "float" in keras.backend.standardize_dtype(
        tensor.dtype
    )


@contextlib.contextmanager
def _activations(layers, watcher):
    """Note what the layers' own activation functions are applied to."""
    kept = []
    for layer in layers:
        function = vars(layer).get("activation")
        if not callable(function) or function is keras.activations.linear:
            continue

        def noted(x, *arguments, function=function, layer=layer, **more):
            note = next((n for n in reversed(watcher.stack) if n.layer is layer), None)
            if note is not None and note.pre is None and _is_floats(x):
                x = watcher.add(note.key, "pre", x)
                note.pre, note.activation = x, function
            return function(x, *arguments, **more)

        kept.append((layer, function))
        object.__setattr__(layer, "activation", noted)
    try:
        yield
    finally:
        for layer, function in kept:
            object.__setattr__(layer, "activation", function)


@contextlib.contextmanager
def _unrolled(layers):
    """Let recurrent layers call their cell step by step, where all can be seen."""
    kept = []
    for layer in layers:
        if not isinstance(layer, keras.layers.RNN):
            continue
        for name, value in (("unroll", True), ("use_cudnn", False)):
            if name in vars(layer):
                kept.append((layer, name, getattr(layer, name)))
                object.__setattr__(layer, name, value)
    try:
        yield
    finally:
        for layer, name, value in kept:
            object.__setattr__(layer, name, value)
