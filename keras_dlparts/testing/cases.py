"""What to build of a part in order to check it: its module's `CASES`."""

import atexit
import inspect
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import keras
import numpy as np

from keras_dlparts.registry import Part

_OPEN_ENDED = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
# What to check a layer on that does not say.
_DEFAULT_SHAPE = (2, 3)


class ContractError(AssertionError):
    """A part does not hold what is asked of it."""


def require(condition, message):
    if not condition:
        raise ContractError(message)


@dataclass(frozen=True, eq=False)  # each is itself only, so a cache may hold it
class Case:
    """One way to build a part, and what to call it on.

    Args:
        part: The `registry.Part`.
        target: The class or function itself.
        arguments: Dict of the constructor's arguments. Or a function of a folder
            that returns one: for sources that read files, which it writes there,
            and for arguments to be made afresh each time, such as layers.
        input_shape: Shape of the input with its batch, or a list of shapes for a
            layer that takes a list of inputs.
        input_dtype: Of every input, or a list of one an input. Integers are drawn
            from 0 and 1.
        positive: Whether the inputs must not be negative.
        skip: Why this case cannot be checked, in words for the part's user.
        still: Dict of arguments with which the part draws nothing at random, for the
            comparison of replicas with one device.
        per_share: Why a replica computes on its share of a batch what one device does
            not on the whole, in words for the part's user. Such a part is compared on
            batches whose shares are equal.
        alone: Why replicas cannot equal one device at all, likewise.
        not_exported: Dict of what cannot be exported and why, in words for the part's
            user: `{"onnx": "..."}`, or `{"torch onnx": "..."}` on one backend only. It
            must be exact: what is listed and can be exported fails the contract.
            `{"torch onnx not asked": "..."}` where the inputs decide whether it is
            right.
        slot: The argument of a Dense layer that takes a regularizer, initializer or
            constraint; by default that of the kernel.
        works_on: A function that makes a layer, for a callback that works on layers of
            that kind alone: the model gets it.
        number: Which of the part's cases it is, from 0.
    """

    part: Part
    target: Callable
    arguments: dict | Callable
    input_shape: tuple | list | None = None
    input_dtype: str | list = "float32"
    positive: bool = False
    skip: str = ""
    still: dict | None = None
    per_share: str = ""
    alone: str = ""
    not_exported: dict = field(default_factory=dict)
    slot: str = ""
    works_on: Callable | None = None
    number: int = 0

    def make(self, **more):
        """Build the part. The same random seed each time."""
        keras.utils.set_random_seed(0)
        return self.target(**{**self.built_arguments(), **more})

    def built_arguments(self):
        if not callable(self.arguments):
            return self.arguments
        folder = tempfile.mkdtemp(prefix="dlparts-case-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return self.arguments(folder)

    def changed(self, arguments):
        """The case with some arguments changed."""
        given = self.built_arguments
        return replace(self, arguments=lambda folder: {**given(), **arguments})

    def map_inputs(self, function):
        """`function(shape, dtype)` of the one input, or the list of it for several."""
        if isinstance(self.input_shape, list):
            return [
                function(tuple(shape), dtype)
                for shape, dtype in zip(self.input_shape, self.dtypes(), strict=True)
            ]
        return function(tuple(self.input_shape), self.input_dtype)

    def dtypes(self):
        """The dtype of each of several inputs."""
        if isinstance(self.input_dtype, list):
            return self.input_dtype
        return [self.input_dtype] * len(self.input_shape)

    def inputs(self, batch=None):
        """Input arrays, always the same ones."""
        random = np.random.default_rng(0)

        def draw(shape, dtype):
            shape = shape if batch is None else (batch, *shape[1:])
            if "float" in dtype:
                drawn = random.normal(size=shape).astype(dtype)
                return np.abs(drawn) if self.positive else drawn
            return random.integers(0, 2, shape).astype(dtype)

        return self.map_inputs(draw)

    def __str__(self):
        if callable(self.arguments):
            return f"{self.part.name}(...)"
        told = ", ".join(f"{key}={value!r}" for key, value in self.arguments.items())
        return f"{self.part.name}({told})"


def parameters(target):
    """The arguments of a part's own constructor, `**kwargs` left out, by name.

    What only Keras' base class takes (name, dtype, ...) is no part's own.
    """
    function = target.__init__ if inspect.isclass(target) else target
    if function is object.__init__ or function.__module__.split(".")[0] == "keras":
        return {}
    return {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind not in _OPEN_ENDED
    }


def cases(part):
    """The cases of a part, at least one. Raises ContractError where there is none."""
    target = part.load()
    module = sys.modules[target.__module__]
    table = getattr(module, "CASES", {})
    where = f"CASES in {module.__name__}"
    unknown = [name for name in table if not hasattr(module, name)]
    require(not unknown, f"{where} names {unknown}, which that module lacks.")
    name = target.__name__
    given = table.get(name)
    if given is None:
        needed = [
            name
            for name, parameter in parameters(target).items()
            if parameter.default is parameter.empty
        ]
        told = ", ".join(f'"{argument}": ...' for argument in needed)
        entry = f'"arguments": {{{told}}}'
        if part.kind == "layers":
            entry += f', "input_shape": {_DEFAULT_SHAPE}'
        require(
            not needed,
            f"{part.name} has no case to check it with, and its constructor needs "
            f"arguments. Add to {module.__name__}, next to it:\n"
            f'    CASES = {{"{name}": ({{{entry}}},)}}\n'
            "If it reads files, `arguments` is a function of an empty folder that "
            "writes them there and returns the dict.",
        )
        given = ({"arguments": {}},)
    require(
        isinstance(given, list | tuple) and given,
        f"{where} must map {name!r} to a tuple of dicts. Received: {given!r}",
    )
    return [_case(part, target, where, i, entry) for i, entry in enumerate(given)]


def _case(part, target, where, number, entry):
    allowed = {field.name for field in fields(Case)} - {"part", "target", "number"}
    require(
        isinstance(entry, dict) and not set(entry) - allowed,
        f"A case of {where} is a dict with {', '.join(sorted(allowed))}. "
        f"Received: {entry!r}",
    )
    shape = {"input_shape": _DEFAULT_SHAPE} if part.kind == "layers" else {}
    return Case(part, target, number=number, **{"arguments": {}, **shape, **entry})
