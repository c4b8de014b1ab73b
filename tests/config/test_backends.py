"""A config's backend, else KERAS_BACKEND, else an installed one: in fresh processes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_dlparts.config.errors import ConfigError
from keras_dlparts.config.experiment import load
from keras_dlparts.support import keras_backend

WITHOUT = Path(__file__).parents[1] / "without_tensorflow.py"
CONFIG = """
data: {use: spirals, samples: 40}
model: [{use: Dense, units: 2}]
loss: {use: SparseCategoricalCrossentropy, from_logits: true}
fit: {epochs: 1}
"""
# Each public function that takes a config or a run.
DOORS = """
import sys, keras_dlparts as k
from keras_dlparts import training as t, searching as s
doors = k.build, k.plan, k.train, k.search, k.hypermodel, k.hyperparameters
doors += t.evaluate, t.write_report, s.join_search, k.Run, k.Search
doors += k.ConfigError, k.NonFiniteError, k.SearchFailed, k.load_model
assert all(map(callable, doors)) and "keras" not in sys.modules
print("none of them did")
"""


@pytest.fixture
def fresh(tmp_path):
    """Run Python in a folder and without KERAS_BACKEND, or with the one that is given.

    `keras_json` is the text of Keras' own file; `nor` names modules that are hidden
    besides TensorFlow.
    """

    def run(*arguments, nor=None, keras_json=None, **environment):
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        if keras_json is not None:
            (home / "keras.json").write_text(keras_json)
        env = {k: v for k, v in os.environ.items() if k != "KERAS_BACKEND"}
        env |= {"KERAS_HOME": str(home)} | environment
        hidden = [] if nor is None else [WITHOUT]
        for name in nor or ():
            hidden += ["--nor", name]
        return subprocess.run(
            [sys.executable, *hidden, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=env,
        )

    (tmp_path / "config.yaml").write_text(CONFIG)
    for backend in keras_backend.BACKENDS:
        (tmp_path / f"{backend}.yaml").write_text(f"backend: {backend}\n{CONFIG}")
    return run


def said(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_a_config_is_read_before_keras_is_imported(fresh):
    assert said(fresh("-c", DOORS)) == "none of them did"


CHOSEN = "import keras_dlparts, os; print(os.environ.get('KERAS_BACKEND'))"


@pytest.mark.parametrize(
    ("hidden", "keras_json", "environment", "chosen"),
    [
        # Keras starts by itself where its own choice is installed.
        (None, None, {}, "None"),
        (None, '{"backend": "jax"}', {}, "None"),
        # Where TensorFlow is not, it does not, unless its file names another one.
        ((), None, {}, "jax"),
        (("jax",), None, {}, "torch"),
        (("jax", "torch"), None, {}, "None"),
        ((), '{"backend": "tensorflow"}', {}, "jax"),
        ((), '{"backend": "torch"}', {}, "None"),
        (("jax",), '{"backend": "jax"}', {}, "torch"),
        ((), "no JSON", {}, "jax"),
        ((), "[]", {}, "jax"),
        # The user's word counts, even where it names what is not installed.
        ((), None, {"KERAS_BACKEND": "tensorflow"}, "tensorflow"),
        ((), None, {"KERAS_BACKEND": ""}, "jax"),
    ],
)
def test_what_is_installed_is_chosen(
    fresh, hidden, keras_json, environment, chosen, tmp_path
):
    modules = tmp_path / "modules"
    for name in ("jax", "torch"):  # they are only looked for, so empty ones will do
        (modules / name).mkdir(parents=True)
        (modules / name / "__init__.py").touch()
    environment = {"PYTHONPATH": str(modules), **environment}
    done = fresh("-c", CHOSEN, nor=hidden, keras_json=keras_json, **environment)
    assert said(done) == chosen


def test_a_backend_that_is_not_installed_is_told_with_its_place(monkeypatch):
    monkeypatch.setattr(keras_backend, "running", lambda: None)
    monkeypatch.setattr(keras_backend, "is_installed", lambda name: name == "jax")
    with pytest.raises(ConfigError, match="torch is not installed; pip install 'keras"):
        load({"backend": "torch", "model": ["Flatten"]})


def test_no_backend_at_all(monkeypatch):
    monkeypatch.setattr(keras_backend, "is_installed", lambda name: False)
    with pytest.raises(ImportError, match=r"No Keras backend is installed\. Install"):
        load({"model": ["Flatten"]})


PYTHON = """
import sys, keras_dlparts, os
run = keras_dlparts.train("torch.yaml", out="runs", verbose=0)
print(run.environment["backend"], os.environ["KERAS_BACKEND"])
"""


@pytest.mark.slow
def test_from_the_command_and_from_python(fresh, tmp_path):
    """The variable names another one than the config does, and is overruled."""
    done = fresh("-m", "keras_dlparts", "train", "jax.yaml", KERAS_BACKEND="torch")
    run = said(done).removeprefix("report").strip().removesuffix("report.html")
    environment = json.loads((tmp_path / run / "environment.json").read_text())
    assert environment["backend"] == "jax"
    # The run's resolved config names the backend too, and nothing else does here.
    done = fresh("-m", "keras_dlparts", "evaluate", run, "--json")
    assert json.loads(said(done))["loss"] > 0
    done = fresh("-c", PYTHON, KERAS_BACKEND="tensorflow")
    assert said(done) == "torch torch"


@pytest.mark.study
@pytest.mark.parametrize("command", ["check", "search", "plan"])
def test_each_command(fresh, tmp_path, command):
    with open(tmp_path / "jax.yaml", "a") as file:
        file.write(
            "optimizer: {use: SGD, learning_rate: "
            "{search: float, min: 0.1, max: 0.2}}\nsearch: {trials: 1}\n"
        )
    code = (
        "import sys, keras_dlparts.cli as cli\n"
        f"sys.argv = ['dlparts', {command!r}, 'jax.yaml']\n"
        "try:\n    cli.main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(sys.modules['keras'].backend.backend(), 'tensorflow' in sys.modules)\n"
    )
    assert said(fresh("-c", code)).startswith("jax")


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend", ["jax", pytest.param("torch", marks=pytest.mark.study)]
)
def test_with_one_backend_installed_and_no_variable(fresh, backend):
    (other,) = {"jax", "torch"} - {backend}
    # The file that Keras wrote when it first started, with TensorFlow in it.
    written = '{"backend": "tensorflow"}'
    command = "-m", "keras_dlparts", "train", "config.yaml"
    done = fresh(*command, nor=[other], keras_json=written)
    assert said(done).startswith("report")
    code = "from keras_dlparts.layers import RandomDropout; import keras; "
    code += "print(keras.backend.backend())"
    assert said(fresh("-c", code, nor=[other])) == backend
