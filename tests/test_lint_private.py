"""The lint that keeps private names in their files."""

import ast
import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).with_name("lint_private.py")


@pytest.fixture(scope="module")
def lint():
    spec = importlib.util.spec_from_file_location("lint_private", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nobody_reaches_for_what_is_private(lint):
    assert lint.lint() == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("import keras.src.layers", "keras.src.layers is a private module"),
        ("from keras import src", "keras.src is a private module"),
        ("from jax._src import core", "jax._src is a private module"),
        ("load('keras_tuner.engine.trial')", "keras_tuner.engine.trial is a private"),
        ("model._nodes_by_depth", "_nodes_by_depth is private to its object"),
        ("hasattr(model, '_nodes_by_depth')", "_nodes_by_depth is private"),
        ("object.__setattr__(model, '_x', 1)", "_x is private to its object"),
        ("self._flatten_layers()", "_flatten_layers is private to its object"),
        ("super()._flatten_layers()", "_flatten_layers is private to its object"),
        ("from keras_dlparts.cli import _size", "_size is keras_dlparts.cli's own"),
        ("import tensorflow as tf", "tensorflow is one backend's"),
        ("from jax import lax", "jax is one backend's"),
        ("if keras.backend.backend() == 'jax': pass", "only backend/ knows"),
        ("if backend.name() == 'jax': pass", "only backend/ knows"),
    ],
)
def test_lint_refuses(lint, source, problem):
    tree = ast.parse(source)
    path = "keras_dlparts/layers/somewhere.py"
    found = [what for _, what in lint.problems(tree, path, {"_own"}, set())]
    assert found
    assert found[0].startswith(problem)


@pytest.mark.parametrize(
    "source",
    [
        "self._own",
        "super()._own()",
        "getattr(self, '_own')",
        "splits._asdict()",
        "type(x).__name__",
        "from keras_dlparts import backend",
        "keras.ops.sum(x)",
        "'keras_tuner'",
    ],
)
def test_lint_lets_pass(lint, source):
    tree = ast.parse(source)
    path = "keras_dlparts/layers/somewhere.py"
    assert [*lint.problems(tree, path, {"_own"}, set())] == []


def test_lint_holds_tests_to_the_names_that_are_wrapped(lint):
    tree = ast.parse("model._flatten_layers(), registry._entries")
    found = [*lint.problems(tree, "tests/test_x.py", set(), {"_flatten_layers"})]
    assert [what for _, what in found] == ["_flatten_layers is private to its object"]
