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


@pytest.mark.long
def test_nobody_reaches_for_what_is_private(lint):
    """And what may do so does, or its entry could go."""
    found = lint.found()
    assert [problem for problem in found if problem[-1] is None] == []
    assert {excuse for *_, excuse in found} == {*lint.PRIVATE, *lint.BACKENDS}


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
        ("from keras_dlparts import registry", "a part does not import registry"),
        ("import keras_dlparts.optimizers.clipped", "a part does not import optimiz"),
        ("if keras.backend.backend() == 'jax': pass", "only backend/ knows"),
        ("if backend.name() == 'jax': pass", "only backend/ knows"),
    ],
)
def test_lint_refuses(lint, source, problem):
    nodes = ast.walk(ast.parse(source))
    path = "keras_dlparts/layers/somewhere.py"
    found = [*lint.problems(nodes, path, {"_own"}, set())]
    assert any(what.startswith(problem) for _, what, _ in found)
    assert all(excuse is None for *_, excuse in found)


@pytest.mark.parametrize(
    "source",
    [
        "self._own",
        "super()._own()",
        "getattr(self, '_own')",
        "splits._asdict()",
        "type(x).__name__",
        "from keras_dlparts import backend",
        "from keras_dlparts.layers.units.maxout import Maxout",
        "keras.ops.sum(x)",
        "'keras_tuner'",
    ],
)
def test_lint_lets_pass(lint, source):
    nodes = ast.walk(ast.parse(source))
    path = "keras_dlparts/layers/somewhere.py"
    assert [*lint.problems(nodes, path, {"_own"}, set())] == []


def test_lint_holds_tests_to_the_names_that_are_wrapped(lint):
    nodes = ast.walk(ast.parse("model._flatten_layers(), registry._entries"))
    found = [*lint.problems(nodes, "tests/test_x.py", set(), {"_flatten_layers"})]
    assert found == [(1, "_flatten_layers is private to its object", None)]
