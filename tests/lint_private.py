"""Refuse what reaches too far: private names, the running backend, other rooms.

    python tests/lint_private.py          (make check runs it, and a test does)

1. Nobody imports a private module of Keras, KerasTuner, TensorFlow or JAX, takes an
   attribute `_name` of an object that is not `self`, `cls` or `super()`, or takes
   `self._name` where nobody in the package defines it, so that it is a base class' of
   Keras. The files that may are in `PRIVATE`.
2. No module imports what another module of the package calls `_name`.
3. Nobody asks which backend runs, or imports TensorFlow, JAX or PyTorch. The folders
   and files that may are in `BACKENDS`.
4. A part imports of the package only `COMMON`, its own kind, and what `KINDS` allows.

In tests the first rule holds for private modules, and for the names that Keras' own
file wraps.
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STRICT = "keras_dlparts", "examples", "benchmarks", "docs"

PRIVATE = {
    "keras_dlparts/backend/keras_private.py": "all of Keras' and TensorFlow's",
    "keras_dlparts/distribute/remedy.py": "replaces functions of Keras' trainers",
    "keras_dlparts/searching/kerastuner.py": "all of KerasTuner's",
    "tests/test_keras_private.py": "tests the first",
    "tests/distribute/test_multi_worker.py": "tests the second, and Keras without it",
    "tests/conftest.py": "switches determinism off",
    "tests/lint_private.py": "names what it looks for",
    "tests/test_lint_private.py": "names what is to be found",
}
BACKENDS = {
    "keras_dlparts/backend/": "tells everyone else",
    "keras_dlparts/distribute/": "the strategies are the backends' own",
    "keras_dlparts/testing/": "lowers and shares a step as each backend does",
    "keras_dlparts/config/experiment.py": "chooses the backend, and records it",
    "keras_dlparts/training/sharing.py": "fits models to the strategies",
    "keras_dlparts/searching/conduct.py": "gives workers the backend of the chief",
    "keras_dlparts/data/tfds.py": "TensorFlow Datasets, on any backend",
    "keras_dlparts/data/batches.py": "gives a `tf.data.Dataset` to who asks for one",
    "examples/": "say in their figures which backend made them",
    "benchmarks/": "say in their results which backend made them",
}
COMMON = "backend", "support", "graphs", "watched"
KINDS = {
    "layers": (),
    "optimizers": (),
    "losses": (),
    "metrics": (),
    "initializers": (),
    "data": (),
    "models": ("layers",),
    "callbacks": ("layers", "optimizers", "data", "surgery"),
}
_MODULES = (
    "keras.src",
    "keras_tuner.src",
    "keras_tuner.engine",
    "tensorflow.python",
    "jax._src",
    "torch._",
)
_FRAMEWORKS = "tensorflow", "jax", "torch"
# Public in spite of the underscore: named tuples', and the way to end a process.
_PUBLIC = {"_asdict", "_replace", "_fields", "_exit"}
_BY_NAME = {"getattr", "hasattr", "setattr", "delattr", "__setattr__", "__delattr__"}
_OWN = {"self", "cls"}


def is_private(name):
    return name[0] == "_" and not name.startswith("__") and name not in _PUBLIC


def names_defined(nodes):
    """Every name that some statement among these nodes defines."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(getattr(node, "ctx", None), ast.Store):
            found.add(getattr(node, "attr", getattr(node, "id", None)))
    return found


def names_wrapped(nodes):
    """The private names of Keras that its file takes."""
    taken = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    return {name for name in taken if is_private(name)}


def problems(nodes, path, defined, wrapped):
    """What is wrong in a file, as tuples of a line, a text, and an excuse: the entry of
    `PRIVATE` or `BACKENDS` that allows it, or None."""
    strict = path.partition("/")[0] in STRICT
    private = path if path in PRIVATE else None
    backend = next((place for place in BACKENDS if path.startswith(place)), None)
    for node in nodes:
        for name in _imported(node):
            if f"{name}.".startswith(_MODULES):
                yield node.lineno, f"{name} is a private module", private
            if strict and name.partition(".")[0] in _FRAMEWORKS:
                yield node.lineno, f"{name} is one backend's", backend
            if room := _above(path, name):
                yield node.lineno, f"a part does not import {room}", None
        if isinstance(node, ast.ImportFrom) and strict:
            for alias in node.names:
                if is_private(alias.name):
                    yield node.lineno, f"{alias.name} is {node.module}'s own", None
        if taken := _taken(node):
            name, by_self = taken
            if name in wrapped if not strict else not (by_self and name in defined):
                yield node.lineno, f"{name} is private to its object", private
        if strict and _asks_for_the_backend(node):
            yield node.lineno, "only backend/ knows which backend runs", backend


def _imported(node):
    """The modules that a node imports, or names in a text of its own."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{a.name}" for a in node.names)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value] if node.value.startswith(_MODULES[:4]) else []
    return []


def _above(path, name):
    """The room of the package that a part must not import but does, or None."""
    package, kind, *_ = path.split("/")
    whole, _, rest = name.partition(".")
    if package != "keras_dlparts" or whole != package or kind not in KINDS or not rest:
        return None
    room = rest.partition(".")[0]
    return None if room in (kind, *COMMON, *KINDS[kind]) else room


def _taken(node):
    """(a private attribute that a node takes, whether of self), or None."""
    if isinstance(node, ast.Attribute) and is_private(node.attr):
        return node.attr, _is_own(node.value)
    if isinstance(node, ast.Call) and len(node.args) > 1:
        function = getattr(node.func, "id", getattr(node.func, "attr", None))
        name = getattr(node.args[1], "value", None)
        if function in _BY_NAME and isinstance(name, str) and is_private(name):
            return name, _is_own(node.args[0])
    return None


def _is_own(value):
    if isinstance(value, ast.Call):
        return getattr(value.func, "id", None) == "super"
    return getattr(value, "id", None) in _OWN


def _asks_for_the_backend(node):
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    return ast.unparse(node.func) in (
        "backend.name",
        "keras.backend.backend",
        "keras.config.backend",
    )


def found(root=ROOT):
    """All problems of the house: tuples of a path, a line, a text, and an excuse."""
    files = {}
    for top in (*STRICT, "tests"):
        for path in sorted((root / top).rglob("*.py")):
            nodes = [*ast.walk(ast.parse(path.read_text()))]
            files[path.relative_to(root).as_posix()] = nodes
    wrapped = names_wrapped(files["keras_dlparts/backend/keras_private.py"])
    defined = {
        n for p, f in files.items() if p not in PRIVATE for n in names_defined(f)
    }
    return [
        (path, *problem)
        for path, nodes in files.items()
        for problem in problems(nodes, path, defined, wrapped)
    ]


if __name__ == "__main__":
    wrong = [each for each in found() if each[-1] is None]
    for path, line, what, _ in wrong:
        print(f"{path}:{line}: {what}")
    sys.exit(bool(wrong))
