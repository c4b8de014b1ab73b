"""One pass through a model with every call of a layer noted, for any model of Keras.

A call is noted with what goes in, the pre-activation where the layer applies an
activation of its own, and what comes out. Of layers inside layers the innermost whose
values can be seen are noted, so that nested, shared and subclassed models need no
graph: a shared layer has a call each time it is used. A recurrent layer may be unrolled
for the pass; the steps of its cell belong to the recurrent layer's one call.
"""

import contextlib
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
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


def watched_pass(model, run, add=None, keys=None, unroll=True):
    """(what `run()` gives, the calls of a model's layers, the calls around those).

    The calls stand in the order of computation.

    Args:
        model: A model; `run` calls it.
        run: A function without arguments.
        add: Optional `add(key, place, tensor) -> tensor`, to change what goes in
            (`"inputs"`), a pre-activation (`"pre"`) or what comes out (`"output"`).
        keys: Optional set of the keys of the calls to note, of `first_pass`. A function
            that is compiled needs it: while it is traced no call's values can be seen,
            and those within a loop must not leave it.
        unroll: Whether recurrent layers call their cell step by step.
    """
    layers = [
        layer
        for layer in graphs.layers(model, itself=False)
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    watcher = _Watcher(add or (lambda key, place, tensor: tensor), keys)
    watched = [*layers, *_operations(model)]
    with (
        backend.intercepted(watched, watcher.wrap),
        _activations(layers, watcher),
        _unrolled(layers if unroll else ()),
    ):
        found = run()
    calls, around = (
        [c for c in noted if c.output is None or backend.in_reach(c.output)]
        for noted in (watcher.calls, watcher.around)
    )
    return found, calls, around


def first_pass(model, x):
    """The calls of a training pass whose values can be seen, and those around them.

    It is not compiled, and shows which calls a compiled pass may note by their keys.
    The model stays as it is.
    """
    with keras.StatelessScope():
        _, calls, around = watched_pass(
            model, lambda: model(x, training=True), unroll=False
        )
    return calls, around


def flat_ends(function):
    """`(low, high)`: an activation is flat from low down and from high up.

    Flat is where its slope is below a twentieth of the steepest in -3 .. 3, looked for
    in -30 .. 30; an end that is not flat is infinite. None for a function that does not
    work on each element, as softmax.

    >>> flat_ends(keras.activations.relu), flat_ends(keras.activations.linear)
    ((0.0, inf), (-inf, inf))
    """
    x = np.arange(-3000, 3002, dtype="float32") / 100
    try:
        whole, part = (
            ops.convert_to_numpy(function(ops.convert_to_tensor(given)))
            for given in (x, x[3100:3102])
        )
        if whole.shape != x.shape or not np.allclose(whole[3100:3102], part):
            return None
        slopes = np.abs(backend.slope(function, x))
    except (TypeError, ValueError):
        return None
    steep = np.flatnonzero(slopes >= 0.05 * slopes[np.abs(x) <= 3].max())
    first, last = steep[0], steep[-1]
    low = float(x[first - 1]) if first else -np.inf
    return low, float(x[last + 1]) if last + 1 < len(x) else np.inf


class _Watcher:
    """Notes calls as they happen."""

    def __init__(self, add, keys):
        self.add, self.keys = add, keys
        self.calls, self.around = [], []
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
        if self.keys is not None:
            seen = note.key in self.keys
        else:
            seen = first is not None and backend.known(first) is not None
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
