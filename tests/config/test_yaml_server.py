"""What the schema does in an editor: the language server that VS Code, Neovim and
others use for YAML, and a client that asks as they do."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.yaml_server import YamlServer

from keras_dlparts.config.json_schema import json_schema

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SERVER = "yaml-language-server@2.0.0"
CONFIGS = sorted([*ROOT.glob("examples/*.yaml"), *ROOT.glob("tuning/*.yaml")])
# What every layer takes, in the order in which it is offered: after its own.
COMMON = ["trainable", "dtype", "autocast", "name", "from"]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The server from npm, with the schema of this environment's parts."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip(f"npm is not installed, and {SERVER} comes from there")
    folder = tmp_path_factory.mktemp("yaml")
    install = [npm, "install", "--prefix", folder, "--no-audit", "--no-fund", SERVER]
    try:
        done = subprocess.run(install, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm does not reach the registry that has {SERVER}")
    if done.returncode:
        pytest.skip(f"npm cannot install {SERVER}: {done.stderr.strip()[-300:]}")
    (folder / "schema.json").write_text(json.dumps(json_schema()))
    command = folder / "node_modules/.bin/yaml-language-server"
    with YamlServer([command, "--stdio"], folder / "schema.json") as running:
        yield running


LAYER = "model:\n  - "
REST = "model: [Flatten]\n"


@pytest.mark.parametrize(
    ("text", "some"),
    [
        (LAYER + "{use: |}", ["Dense", "RandomDropout", "Flatten"]),
        (LAYER + "use: Ran|", ["RandomDropout"]),
        (LAYER + "Fl|", ["Flatten"]),
        ("model: {use: |}", ["MLP", "ResNet"]),
        (REST + "optimizer: {use: |}", ["SGD", "Clipped"]),
        (REST + "optimizer: |", ["Adam", "DiagonalNewton"]),
        (REST + "data: {use: |}", ["digits", "csv"]),
        (REST + "callbacks: [{use: |}]", ["EarlyStopping", "SparsityLog"]),
        (
            LAYER + "{use: Dense, units: 3, kernel_initializer: {use: |}}",
            ["HeNormal"],
        ),
        (LAYER + "search: one_of\n    of: [{use: |}]", ["Dense", "Maxout"]),
        (LAYER + "{use: RandomDropout, rate: 0.5, per: |}", ["sample", "batch"]),
        (LAYER + "use: RandomDropout\n    per: |", ["sample", "batch"]),
        (LAYER + "{use: Dense, units: 3, use_bias: |}", ["true", "false"]),
        (LAYER + "{use: Dense, units: 3, activation: |}", ["relu", "tanh"]),
        (LAYER + "{use: Dense, units: {search: |}}", ["int", "choice"]),
        (LAYER + "{use: Dense, units: {search: int, m|}}", ["min", "max", "step"]),
        (REST + "fit:\n  ep|", ["epochs", "class_weight"]),
        (REST + "dtype_policy: |", ["mixed_bfloat16"]),
        (REST + "distribute: |", ["auto", "mirrored"]),
        (REST + "|", ["data", "optimizer", "fit"]),
    ],
)
def test_what_is_offered(server, text, some):
    offered = server.completions(text)
    assert {*some} <= offered.keys()


@pytest.mark.parametrize(
    "text",
    [
        LAYER + "{use: RandomDropout, r|}",
        LAYER + "use: RandomDropout\n    |",
        LAYER + "{use: dlparts.RandomDropout, r|}",
        LAYER + "repeat: 2\n    of:\n      - {use: RandomDropout, r|}",
    ],
)
def test_own_arguments_are_offered_before_those_of_every_layer(server, text):
    offered = server.completions(text)
    names = [name for name in offered if name not in ("use", "RandomDropout")]
    assert names[:4] == ["rate", "per", "noise_shape", "seed"]
    assert names[-5:] == COMMON
    assert "0 <= rate < 1" in offered["rate"]["documentation"]


def test_a_key_is_written_with_its_colon(server):
    offered = server.completions(LAYER + "use: Dense\n    |")
    written = {name: item["insertText"] for name, item in offered.items()}
    # Keras' `units` has no annotation; a default is written too.
    assert written["units"] == "units: "
    assert written["name"] == "name: "
    assert written["use_bias"] == "use_bias: ${1:true}"
    assert written["kernel_regularizer"] == "kernel_regularizer: "


def test_the_part_decides_which_arguments_are_offered(server):
    offered = server.completions(REST + "optimizer: {use: SGD, m|}")
    assert "momentum" in offered
    assert "beta_1" not in offered
    # `Adam` is the beginning of a longer name, and an alias is understood too.
    offered = server.completions(REST + "optimizer:\n  use: adam\n  |")
    assert "beta_1" in offered
    assert "momentum" not in offered
    offered = server.completions(LAYER + "use: GRU\n    units: 3\n    |")
    assert "return_sequences" in offered  # which a GRUCell does not take
    offered = server.completions(LAYER + "use: GRUCell\n    units: 3\n    |")
    assert "return_sequences" not in offered


def test_a_name_is_offered_with_its_words(server):
    offered = server.completions(LAYER + "{use: |}")
    assert offered["RandomDropout"]["documentation"].startswith("Dropout whose rate")
    # A bare name is for parts that need no arguments.
    assert "Dense" not in server.completions(LAYER + "De|")


@pytest.mark.parametrize(
    ("text", "heading", "words"),
    [
        (
            LAYER + "{use: RandomDropout, ra|te: 0.5}",
            "RandomDropout",
            "The highest drop rate",
        ),
        (LAYER + "use: RandomDropout\n    ra|te: 0.5", "RandomDropout", "0 <= rate"),
        (LAYER + "{use: Random|Dropout, rate: 0.5}", "layer", "Dropout whose rate"),
        (LAYER + "{use: Dense, uni|ts: 3}", "Dense", "Positive integer"),
        (LAYER + "Fla|tten", "layer", "Flattens the input"),
        (REST + "fit: {ep|ochs: 3}", "Fit", "How often the training data"),
    ],
)
def test_hover_shows_the_words_about_it(server, text, heading, words):
    shown = server.hover(text)
    assert shown.startswith(f"#### {heading}\n")
    assert words in shown
    assert len(shown) < 600  # and not a list of all that might stand there


@pytest.mark.parametrize(
    ("text", "line", "under", "message"),
    [
        (LAYER + "{use: Dense, units: 3, unitz: 3}", 2, "unitz", "not allowed"),
        (
            LAYER + "use: Dense\n    units: 3\n    unitz: 3",
            4,
            "unitz",
            "not allowed",
        ),
        (LAYER + "{use: Dense}", 2, "{", 'Missing property "units"'),
        (LAYER + "Dense", 2, "Dense", "is it {use: name, argument: value"),
        (LAYER + "{use: Flaten}", 2, "Flaten", "unknown layer. All: dlparts list"),
        (LAYER + "{use: RandomDropout, rate: high}", 2, "high", 'Expected "number'),
        (
            LAYER + "{use: RandomDropout, rate: 0.5, per: x}",
            2,
            "x",
            'Valid values: "sample", "batch"',
        ),
        (REST + "optimizer: {use: SGD, momentun: 1}", 2, "momentun", "not allowed"),
        (REST + "optimizer: {use: sgd, momentun: 1}", 2, "momentun", "not allowed"),
        (
            LAYER + "{use: Dense, units: 3, bias_regularizer: {use: L2, l3: 1}}",
            2,
            "l3",
            "not allowed",
        ),
        (
            LAYER + "{search: one_of, of: [Flatten, {use: Dropout, rate: x}]}",
            2,
            "x",
            'Expected "number',
        ),
        (REST + "fit: {epochs: {search: int, min: 1}}", 2, "epochs", '"max"'),
        (REST + "fit: {epoch: 3}", 2, "epoch", "not allowed"),
        (REST + "seed: x", 2, "x", 'Expected "integer"'),
    ],
)
def test_a_mistake_is_underlined(server, text, line, under, message):
    ((at, word, told),) = server.diagnostics(text + "\n")
    assert (at, word) == (line, under)
    assert message in told


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_config_of_ours_is_underlined(server, path):
    assert server.diagnostics(path.read_text()) == []
