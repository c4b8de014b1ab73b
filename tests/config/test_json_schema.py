"""The JSON Schema that editors check YAML with: it knows every installed part."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from keras_dlparts import registry, static
from keras_dlparts.config import load
from keras_dlparts.config.json_schema import json_schema
from keras_dlparts.config.read import read
from keras_dlparts.config.signature import REQUIRED, arguments

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(json.dumps(json_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.long
@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda p: p.name)
def test_examples_and_what_they_resolve_to(validator, path):
    validator.validate(read(path).values)
    validator.validate(json.loads(json.dumps(load(path).resolved())))


@pytest.mark.parametrize(
    "text",
    [
        "model: [Flatten, keras.Flatten, flatten]\nloss: null",
        "model: [{use: Dense, units: 3, name: a, from: [b], trainable: false}]",
        "model: [{use: dense, units: 3}, {use: LSTM, units: 2, unroll: true}]",
        "model: [{repeat: 2, of: [{repeat: {search: int, min: 1, max: 2}, of: []}]}]",
        "model: {search: one_of, of: [MLP, [Flatten], {use: ResNet, depth: 8}]}",
        "model: [{search: one_of, of: [Flatten, {use: Dropout, rate: 0.1}]}]",
        "model: [Flatten]\nloss: MSE\noptimizer: {use: sgd, momentum: 0.5}",
        "model: [Flatten]\noptimizer: {search: one_of, of: [sgd, adam]}",
        "model: [Flatten]\nmetrics: [accuracy, {use: MeanIoU, num_classes: 3}]",
        "model: [Flatten]\nfit: {epochs: {search: int, min: 1, max: 2}}",
        'model: [Flatten]\nfit: {class_weight: {"0": 1.5}}\nseed: 3\nname: a',
        "model: [Flatten]\ndata: {use: digits, batch_size: 3}\ncallbacks: []",
        "model: [Flatten]\ndata: {use: dlparts.npz, path: a.npz, seed: 1}",
    ],
)
def test_good(validator, tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    validator.validate(read(tmp_path / "a.yaml").values)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("data: digits", ""),
        ("model: []", "model"),
        ("model: 3", "model"),
        ("model: [Flaten]", "model"),
        ("model: [{use: Flaten}]", "model"),
        ("model: [{use: Dense}]", "model"),
        ("model: [{use: Dense, unitz: 3}]", "model"),
        ("model: [{use: Dense, units: 3, unitz: 3}]", "model"),
        ("model: [{use: Lambda}]", "model"),
        ("model: [{repeat: 2}]", "model"),
        ("model: [Flatten]\nmodle: [Flatten]", ""),
        ("model: [Flatten]\noptimizer: null", "optimizer"),
        ("model: [Flatten]\noptimizer: {use: SGD, momentun: 1}", "optimizer"),
        ("model: [Flatten]\nloss: 3", "loss"),
        ("model: [Flatten]\nmetrics: accuracy", "metrics"),
        ("model: [Flatten]\nmetrics: [Acuracy]", "metrics.0"),
        (
            "model: [Flatten]\ncallbacks: [{use: EarlyStopping, patients: 3}]",
            "callbacks.0",
        ),
        ("model: [Flatten]\nfit: {epochs: 0}", "fit.epochs"),
        ("model: [Flatten]\nfit: {epoch: 3}", "fit"),
        ("model: [Flatten]\ncompile: {jit_compile: no}", "compile.jit_compile"),
        ("model: [Flatten]\nseed: x", "seed"),
        ("model: [Flatten]\nname: a/b", "name"),
        ("model: [Flatten]\nfit: {epochs: {search: integer}}", "fit.epochs"),
        ("model: [Flatten]\ndata: {use: digits, batchsize: 3}", "data"),
        ("model: [Flatten]\ndata: {use: npz}", "data"),
        ("model: [Dense]", "model"),
        ("model: {search: one_of, of: [a, b]}", "model"),
        ("model: [Flatten]\ndata: {use: digits, batch_size: many}", "data"),
        ("model: [Flatten]\noptimizer: {use: sgd, momentun: 1}", "optimizer"),
        ("model: [Flatten]\nfit: {epochs: {search: int, min: 1}}", "fit.epochs"),
        (
            "model: [Flatten]\nfit: {epochs: {search: bool, min: 1, max: 2}}",
            "fit.epochs",
        ),
    ],
)
def test_bad(validator, tmp_path, text, path):
    (tmp_path / "a.yaml").write_text(text)
    errors = validator.iter_errors(read(tmp_path / "a.yaml").values)
    assert [".".join(map(str, error.absolute_path)) for error in errors] == [path]


def test_source_and_signature_agree_on_every_part():
    """What is read of the source is what the constructors take."""
    every = {name for name, _ in static.describe("keras.layers:Layer").arguments}
    count = 0
    for kind in registry.KINDS:
        for name in registry.names(kind):
            part = registry.find(kind, name)
            about = static.describe(part.target)
            taken = arguments(part.load())
            said = dict(about.arguments)
            common = every if kind == "layers" else set()
            assert not about.open_ended, name
            assert set(taken) - common == set(said) - common, name
            required = {key for key, default in said.items() if default is None}
            assert {k for k, d in taken.items() if d is REQUIRED} == required, name
            count += 1
    assert count > 250


def test_source_of_a_plugin_is_followed_as_far_as_it_goes(tmp_path, monkeypatch):
    (tmp_path / "a_plugin_of_test.py").write_text(
        "import keras\nimport nowhere\n"
        "class Wide(keras.layers.Dense):\n"
        "    def __init__(self, depth=2, **kwargs):\n"
        "        super().__init__(units=64, **kwargs)\n"
        "class Lost(nowhere.Base):\n"
        "    def __init__(self, depth, **kwargs):\n"
        "        super().__init__(**kwargs)\n"
        "class Shut(keras.layers.Dense):\n"
        "    def __init__(self, depth, **kwargs):\n"
        "        super().__init__(depth)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    wide = static.describe("a_plugin_of_test:Wide")
    names = [name for name, _ in wide.arguments]
    assert names[:2] == ["depth", "activation"]
    assert "units" not in names
    assert not wide.open_ended
    lost = static.describe("a_plugin_of_test:Lost")
    assert (lost.arguments, lost.open_ended) == ((("depth", None),), True)
    shut = static.describe("a_plugin_of_test:Shut")
    assert (shut.arguments, shut.open_ended) == ((("depth", None),), False)


@pytest.mark.slow
def test_schema_imports_no_backend():
    code = (
        "import sys, json\n"
        "from keras_dlparts.config.json_schema import json_schema\n"
        "json.dumps(json_schema())\n"
        "print(*{'keras', 'tensorflow', 'jax', 'torch', 'sklearn'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
