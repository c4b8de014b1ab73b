"""What is asked of parts of several kinds. The docstring of a check is its rule."""

import functools
import inspect
import json
import os
import re
import sys
import tempfile
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_dlparts import backend, static
from keras_dlparts.testing.cases import parameters, require
from keras_dlparts.testing.examples import example, move


def has_cases(error):
    """The part can be imported and says how to build it."""
    raise error


def documents_its_arguments(case):
    """`Args:` lists the constructor's arguments, all of them and in their order."""
    documented = list(static.argument_docs(inspect.getdoc(case.target) or ""))
    taken = list(parameters(case.target))
    require(
        documented == taken,
        f"`Args:` in the docstring must list the arguments in their order. "
        f"Documented: {documented}; taken: {taken}",
    )


def shows_an_example(case):
    """The docstring shows a use, as an `Example:` with `>>>` lines."""
    doc = inspect.getdoc(case.target) or ""
    require(
        re.search(r"^Examples?:", doc, re.MULTILINE) and ">>>" in doc,
        "The docstring needs an `Example:` with `>>>` lines.",
    )


def names_its_shapes(case):
    """The docstring of the module or class says what shapes go in and come out."""
    module = sys.modules[case.target.__module__].__doc__ or ""
    require(
        re.search(r"\bshapes?\b", module + (case.target.__doc__ or ""), re.IGNORECASE),
        "The docstring of the class or of its module must name the shapes.",
    )


def is_registered_with_keras(case):
    """`@keras.saving.register_keras_serializable("vendor")` names whose it is."""
    name = keras.saving.get_registered_name(case.target)
    vendor = case.part.vendor
    require(
        name.rpartition(">")[0] == vendor,
        f"Decorate it with `@keras.saving.register_keras_serializable("
        f'"{vendor}")`. Received: registered as {name!r}',
    )


def rejects_an_unknown_argument(case):
    """An argument that the constructor does not know is an error."""
    try:
        case.make(no_such_argument=1)
    except (TypeError, ValueError):
        return
    require(False, "The constructor took `no_such_argument=1` without an error.")


def as_json(part):
    """A part's config as JSON text."""
    config = part.get_config()
    try:
        return json.dumps(config, sort_keys=True)
    except TypeError as error:
        require(False, f"The config must be plain JSON: {error}. Received: {config}")


def revives_from_its_config(case):
    """The config is JSON, holds every argument, and makes an equal part."""
    text = as_json(case.make())
    missing = set(parameters(case.target)) - set(json.loads(text))
    require(not missing, f"`get_config` leaves out {sorted(missing)}.")
    revived = as_json(case.target.from_config(json.loads(text)))
    require(
        revived == text,
        f"The part made from its config has another one.\n{text}\n{revived}",
    )


def survives_a_keras_file(case):
    """A model with it in a `.keras` file comes back: weights, state and outputs."""
    ours = trained(case)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.keras")
        ours.model.save(path)
        loaded = keras.saving.load_model(path)
    same(ours.model.get_weights(), loaded.get_weights(), "The weights")
    same(
        arrays(ours.model.optimizer.variables),
        arrays(loaded.optimizer.variables),
        "The optimizer's variables",
    )
    same(predict(ours), predict(ours, loaded), "The outputs")


def fits(case):
    """Three epochs of a compiled `fit` give a finite loss and move what can be."""
    losses, still = _fitted(case).losses, _fitted(case).still
    require(np.isfinite(losses).all(), f"The losses are not finite: {losses}")
    require(not still, f"Trainable weights did not move in training: {still}")


def is_traced_once(case):
    """Compiled training is traced for the first steps, and never again."""
    if not backend.can_compile():  # each step runs anew, there are no traces
        return
    first, *_, last = _fitted(case).traces
    require(
        first == last,
        f"Training traced {last - first} times more after the first epoch.",
    )


@dataclass
class _Fitted:
    """What is looked at of one `fit`."""

    losses: list
    still: list  # the trainable variables that did not move
    traces: list  # how often the step was traced until the end of each epoch


@functools.lru_cache(maxsize=1)  # a case's checks come one after the other
def _fitted(case):
    """Fit the example of a case.

    On TensorFlow the first case's alone goes through XLA, which takes more time than
    all other checks. On JAX each does.
    """
    jit = False if case.number and backend.name() == "tensorflow" else None
    count, traces = _Counted(), []
    ours = example(case, jit_compile=jit, behind=(count,))
    model = ours.model
    if not _floats(ours.y, model(ours.x)):
        model.predict(ours.x, verbose=0)  # nothing to learn, but it compiles
        return _Fitted([], [], [])
    before = arrays(model.trainable_variables)
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: traces.append(count.traces)
    )
    history = model.fit(
        ours.x, ours.y, epochs=3, verbose=0, callbacks=[*ours.callbacks, note]
    )
    variables = model.trainable_variables
    still = [
        variable.path
        for variable, old, new in zip(variables, before, arrays(variables), strict=True)
        if np.array_equal(old, new)
    ]
    return _Fitted(history.history["loss"], still, traces)


class _Counted(keras.layers.Layer):
    """Counts how often it is traced."""

    def __init__(self):
        super().__init__()
        self.supports_masking = True
        self.traces = 0

    def call(self, inputs):
        self.traces += 1
        return inputs


def offers_figures_rightly(case):
    """`figures`, if the callback offers it, is a method of the run alone."""
    figures = getattr(case.make(), "figures", None)
    if figures is not None:
        require(callable(figures), "`figures` must be a method: `figures(run)`.")
        inspect.signature(figures).bind("run")


def trained(case):
    """An example whose weights are no longer those that it starts from.

    They are moved by hand: a compiled `fit` of every case would take far longer.
    """
    ours = example(case)
    model = ours.model
    backend.build_optimizer(model)
    move([*model.weights, *model.optimizer.variables])
    return ours


def predict(ours, model=None):
    return arrays((model or ours.model)(ours.x, training=False))


def arrays(tensors):
    """Tensors or variables, in any structure, as a flat list of numpy arrays."""
    return [ops.convert_to_numpy(tensor) for tensor in keras.tree.flatten(tensors)]


def same(ours, theirs, what):
    """Two lists of arrays are equal, up to float32's rounding."""
    require(len(ours) == len(theirs), f"{what}: {len(ours)} became {len(theirs)}.")
    for one, other in zip(ours, theirs, strict=True):
        one, other = np.asarray(one, "float64"), np.asarray(other, "float64")
        require(one.shape == other.shape, f"{what}: {one.shape} became {other.shape}.")
        if not np.allclose(one, other, rtol=1e-5, atol=1e-6, equal_nan=True):
            most = np.abs(one - other).max(initial=0)
            require(False, f"{what} differ by up to {most:.3g}.")


def _floats(*structures):
    return all("float" in str(x.dtype) for x in keras.tree.flatten(structures))
