"""Other people's parts: plugins built as wheels, installed into folders of their own,
and used by the real command in new processes. One is sound, the others are not."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {
    "acme": ROOT / "examples" / "plugin",
    "broken": ROOT / "tests" / "plugins" / "broken",
    "claimant": ROOT / "tests" / "plugins" / "claimant",
    "malformed": ROOT / "tests" / "plugins" / "malformed",
    "rival": ROOT / "tests" / "plugins" / "rival",
}
DIGITS = ROOT / "examples" / "digits.yaml"
GATED = SOURCES["acme"] / "gated.yaml"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
OFFLINE = ["--no-deps", "--no-index", "--quiet"]


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Each plugin, built as a wheel and installed into a folder: {name: folder}."""
    work = tmp_path_factory.mktemp("plugins")
    copies = [work / "source" / name for name in SOURCES]
    for source, copy in zip(SOURCES.values(), copies, strict=True):
        shutil.copytree(source, copy)  # a build writes into its source
    # Not in the repository, where tools would stumble over it.
    wrong = work / "source" / "broken" / "broken_parts" / "not_python.py"
    wrong.write_text("class NotPython(:\n")
    wheels = work / "wheels"
    subprocess.run(
        [*PIP, "wheel", *OFFLINE, "--no-build-isolation", "-w", wheels, *copies],
        check=True,
    )
    for name in SOURCES:
        (wheel,) = wheels.glob(f"{name}_parts-*.whl")
        target = work / "sites" / name
        subprocess.run(
            [*PIP, "install", *OFFLINE, "--target", target, wheel], check=True
        )
    return {name: work / "sites" / name for name in SOURCES}


@pytest.fixture(scope="module")
def process(sites):
    """Run a command where some plugins are installed, in a folder that has none."""

    def run(command, plugins, folder):
        path = os.pathsep.join(str(sites[name]) for name in plugins)
        return subprocess.run(
            [str(part) for part in command],
            env={**os.environ, "PYTHONPATH": path, "COLUMNS": "300"},
            cwd=folder,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture(scope="module")
def dlparts(process):
    """The real command: `dlparts(plugins, folder, argument, ...)`."""
    script = Path(sys.executable).with_name("dlparts")

    def call(plugins, folder, *arguments):
        done = process([script, *arguments], plugins, folder)
        assert "Traceback" not in done.stderr
        return done

    return call


@pytest.fixture(scope="module")
def trained(dlparts, tmp_path_factory):
    """The run that `dlparts train gated.yaml` leaves."""
    folder = tmp_path_factory.mktemp("trained")
    done = dlparts(["acme"], folder, "train", GATED, "--epochs", 3)
    assert done.returncode == 0, done.stderr
    return folder / re.search(r"^run +(.*)$", done.stdout, re.MULTILINE)[1]


def config(path, *layers, **more):
    """Write gated.yaml with other layers in place of the gated one."""
    text = yaml.safe_load(GATED.read_text()) | more
    text["fit"] = {"epochs": 1}
    text["model"][1:2] = layers
    path.write_text(yaml.safe_dump(text))
    return path


def names(done):
    return [row["name"] for row in json.loads(done.stdout)]


def test_its_parts_are_listed(dlparts, tmp_path):
    done = dlparts(["acme"], tmp_path, "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    for name, kind in (
        ("acme.GatedMLP", "layers"),
        ("acme.WeightNorms", "callbacks"),
        ("acme.rings", "data"),
    ):
        assert rows[name]["kind"] == kind
        assert rows[name]["distribution"] == "acme-parts 0.1.0"
    assert "dlparts.RandomDropout" in rows
    without = dlparts([], tmp_path, "list", "--json")
    assert {*rows} - {*names(without)} >= {"acme.GatedMLP", "acme.rings"}


def test_show_imports_neither_it_nor_a_backend(process, tmp_path):
    command = [sys.executable, "-X", "importtime", "-m", "keras_dlparts"]
    done = process([*command, "show", "acme.GatedMLP"], ["acme"], tmp_path)
    assert done.returncode == 0
    for told in (
        "y = (act(x W_g) * (x W_v)) W_o",
        "arXiv:2002.05202",
        "acme-parts 0.1.0",
        "units       required",
        "activation  'silu'",
    ):
        assert told in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not {"acme_parts", "keras", "tensorflow", "jax", "torch"} & imported
    assert "keras_dlparts.static" in imported


def test_training_leaves_a_run_that_says_who_provided_its_parts(trained):
    for name in ("best.keras", "last.keras", "report.html"):
        assert (trained / name).is_file()
    resolved = yaml.safe_load((trained / "resolved.yaml").read_text())
    assert resolved["model"][1]["use"] == "acme.GatedMLP"
    assert resolved["versions"]["acme-parts"] == "0.1.0"
    header, *rows = (trained / "history.csv").read_text().splitlines()
    assert "weight_norm" in header.split(",")
    assert len(rows) == 3


def test_the_report_shows_the_figure_of_the_callback(dlparts, trained):

    def picture():
        page = (trained / "report.html").read_text()
        (section,) = re.findall('<section aria-label="WeightNorms">.*', page)
        assert "Norm of each weight" in section
        svg = base64.b64decode(re.search(r"svg\+xml;base64,([^\"]+)", section)[1])
        return svg, re.findall(rb' d="(M [^"]+)"', svg)

    first, curves = picture()
    for name in (b"/gate", b"/value", b"/output"):  # the legend
        assert name in first
    # Written again in a new process, from the callback's state in the checkpoint.
    done = dlparts(["acme"], trained.parent, "report", trained)
    assert done.returncode == 0, done.stderr
    assert picture()[1] == curves


BY_HAND = """
import sys, numpy, keras, acme_parts
model = keras.saving.load_model(sys.argv[1])
"""
BY_US = """
import sys, numpy
from keras_dlparts import load_model
assert not [name for name in sys.modules if name.startswith("acme_parts")]
model = load_model(sys.argv[1])
(gated,) = (l for l in model.layers if type(l).__name__ == "GatedMLP")
assert type(gated).__module__ == "acme_parts.gated_mlp"
assert gated.units == 32
"""
PREDICT = """
x = numpy.random.default_rng(0).normal(size=(50, 2)).astype("float32")
numpy.save(sys.argv[2], model.predict(x, verbose=0))
"""


def test_its_model_loads_in_a_new_process(process, trained, tmp_path):
    """Which finds the plugin by itself. So it does where rivals are installed."""
    for name, code, plugins in (
        ("hand.npy", BY_HAND, ["acme"]),
        ("us.npy", BY_US, ["acme"]),
        ("crowd.npy", BY_US, ["rival", "broken", "malformed", "acme"]),
    ):
        command = [sys.executable, "-c", code + PREDICT, trained / "best.keras", name]
        done = process(command, plugins, tmp_path)
        assert done.returncode == 0, done.stderr
    first = np.load(tmp_path / "hand.npy")
    assert np.ptp(first) > 0
    np.testing.assert_array_equal(first, np.load(tmp_path / "us.npy"))
    np.testing.assert_array_equal(first, np.load(tmp_path / "crowd.npy"))


LOAD = "import sys, keras_dlparts; keras_dlparts.load_model(sys.argv[1])"


@pytest.mark.parametrize(
    ("plugins", "told"),
    [
        ([], "needs 'acme>GatedMLP', which no installed plugin provides. Install the"),
        pytest.param(
            ["acme", "claimant"],
            "'acme.GatedMLP' is claimed by acme-parts 0.1.0 and claimant-parts 0.1",
            marks=pytest.mark.study,
        ),
    ],
)
def test_its_model_does_not_load_without_it(process, trained, tmp_path, plugins, told):
    command = [sys.executable, "-c", LOAD, trained / "best.keras"]
    done = process(command, plugins, tmp_path)
    assert done.returncode == 1
    assert told in done.stderr


def test_evaluate_of_its_run(dlparts, trained):
    done = dlparts(["acme"], trained.parent, "evaluate", trained, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["accuracy"] > 0.4  # chance is 1/3


@pytest.mark.study
def test_verify_holds(dlparts, tmp_path):
    done = dlparts(["acme"], tmp_path, "verify", "acme.GatedMLP")
    assert done.returncode == 0, done.stdout
    assert "  holds  loads in a new process\n" in done.stdout
    assert "  holds  passes the layer test of keras\n" in done.stdout
    assert "fails" not in done.stdout


@pytest.mark.study
def test_its_own_tests_pass(process, sites):
    source = sites["acme"].parent.parent / "source" / "acme"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = process(command, ["acme"], source)
    assert done.returncode == 0, done.stdout


BROKEN = {
    "NeedsMissing": "No module named 'no_such_module_anywhere'",
    "Raises": "RuntimeError: the licence server does not answer",
    "Exits": "SystemExit: 7",
    "Misspelt": "has no attribute 'Misspeld'",
    "NotPython": "SyntaxError",
}


@pytest.mark.study
def test_a_part_that_fails_to_import_is_told_by_its_distribution(dlparts, tmp_path):
    layers = [{"use": f"broken.{name}"} for name in BROKEN]
    path = config(tmp_path / "broken.yaml", *layers)
    for command in ("check", "train"):
        done = dlparts(["acme", "broken"], tmp_path, command, path)
        assert (done.returncode, done.stdout) == (2, "")
        for i, (name, told) in enumerate(BROKEN.items()):
            assert re.search(
                rf"broken\.yaml:\d+:\d+  model\[{i + 1}\]\.use\n"
                rf"  broken\.{name} is provided by broken-parts 0\.3, which fails to "
                rf"import: .*{re.escape(told)}.*\n  Likely mend: .*broken-parts",
                done.stderr,
            ), (name, done.stderr)
    assert not (tmp_path / "runs").exists()
    done = dlparts(["broken"], tmp_path, "verify", "broken.NeedsMissing")
    assert done.returncode == 1
    assert "is provided by broken-parts 0.3, which fails to import" in done.stdout


@pytest.mark.study
def test_a_plugin_that_fails_to_import_harms_nothing_else(dlparts, tmp_path):
    plugins = ["broken", "acme", "rival", "malformed"]
    done = dlparts(plugins, tmp_path, "list", "--json")
    assert done.returncode == 0
    assert {"broken.Raises", "acme.GatedMLP", "malformed.Fine"} <= {*names(done)}
    for given in (DIGITS, GATED):
        done = dlparts(plugins, tmp_path, "train", given, "--epochs", 1)
        assert done.returncode == 0, done.stderr
        assert "broken" not in done.stderr


def test_a_name_that_two_distributions_claim(dlparts, tmp_path):
    plugins = ["acme", "claimant"]
    ours = r"claimant-parts 0\.1 and keras-dlparts \S+\. Uninstall one of them\."
    told = (
        r"'acme\.GatedMLP' is claimed by acme-parts 0\.1\.0 and claimant-parts 0\.1\. "
        r"Uninstall one of them\.",
        rf"'dlparts\.RandomDropout' is claimed by {ours}",
    )
    done = dlparts(plugins, tmp_path, "list")
    assert done.returncode == 0
    assert re.fullmatch(rf"problem: {told[0]}\nproblem: {told[1]}\n", done.stderr)
    assert "acme.rings" in done.stdout
    assert "GatedMLP" not in done.stdout
    path = config(
        tmp_path / "claimed.yaml",
        {"use": "acme.GatedMLP", "units": 3},
        {"use": "RandomDropout", "rate": 0.5},
    )
    done = dlparts(plugins, tmp_path, "check", path)
    assert done.returncode == 2
    for i, message in enumerate(told, 1):
        assert re.search(rf"model\[{i}\]\.use\n  {message}", done.stderr), done.stderr
    assert dlparts(plugins, tmp_path, "show", "RandomDropout").returncode == 2


@pytest.mark.study
def test_a_claim_to_others_names_harms_nothing_else(dlparts, tmp_path):
    """The layers in question apart, acme's source and callback and ours train."""
    path = config(tmp_path / "rest.yaml", {"use": "dlparts.Whitening"})
    done = dlparts(["acme", "claimant"], tmp_path, "train", path)
    assert done.returncode == 0, done.stderr
    assert "weight_norm" in done.stderr


@pytest.mark.study
def test_a_bare_name_of_two_vendors(dlparts, tmp_path):
    plugins = ["acme", "rival"]
    told = "'GatedMLP' is ambiguous; say which: acme.GatedMLP, rival.GatedMLP"
    done = dlparts(plugins, tmp_path, "list", "layers")
    assert (done.returncode, done.stderr) == (0, "")
    assert "acme.GatedMLP" in done.stdout
    assert "rival.GatedMLP" in done.stdout
    done = dlparts(plugins, tmp_path, "show", "GatedMLP")
    assert (done.returncode, done.stderr) == (2, told + "\n")
    path = config(tmp_path / "bare.yaml", {"use": "GatedMLP", "units": 3})
    done = dlparts(plugins, tmp_path, "check", path)
    assert done.returncode == 2
    assert f"model[1].use\n  {told}" in done.stderr
    path = config(
        tmp_path / "both.yaml",
        {"use": "acme.GatedMLP", "units": 3},
        {"use": "rival.GatedMLP", "units": 3},
    )
    done = dlparts(plugins, tmp_path, "check", path)
    assert done.returncode == 0, done.stderr
    # The bare name works where one vendor has it.
    done = dlparts(["rival"], tmp_path, "show", "GatedMLP")
    assert done.stdout.startswith("rival.GatedMLP")


def test_malformed_entries_are_told_and_left_out(dlparts, tmp_path):
    done = dlparts(["malformed"], tmp_path, "list")
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    for line, told in zip(
        lines,
        ("entry 'VendorLess'", "entry 'keras.Dense'", "is of no kind 'flavours'"),
        strict=True,
    ):
        assert line.startswith("problem: malformed-parts 0.0.1: ")
        assert told in line
    assert "malformed.Fine" in done.stdout
    done = dlparts(["malformed"], tmp_path, "show", "Dense")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("keras.Dense")
