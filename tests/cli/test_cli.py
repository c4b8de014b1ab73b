"""The command: quick where nothing is trained, plain in its words, exact in its exit
codes. Fast tests call it in this process; slow ones start it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import keras_dlparts
from keras_dlparts import registry, testing
from keras_dlparts.cli import verify

COMMAND = [sys.executable, "-m", "keras_dlparts"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run that the command made."""
    folder = tmp_path_factory.mktemp("runs")
    config = folder / "small.yaml"
    config.write_text(
        "data: {use: spirals, samples: 60}\n"
        "model: [{use: Dense, units: 4}, {use: RandomDropout, rate: 0.1}, "
        "{use: Dense, units: 2}]\n"
        "loss: {use: SparseCategoricalCrossentropy, from_logits: true}\n"
        "metrics: [accuracy]\n"
        "fit: {epochs: 1}\n"
    )
    done = subprocess.run(
        [*COMMAND, "train", config, "--out", folder, "--set", "optimizer=sgd"],
        capture_output=True,
        text=True,
        # JAX sets it where it is imported, as in this process it may have been.
        env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
    )
    return config, done


def made(run):
    return re.search(r"^run +(.*)$", run[1].stdout, re.MULTILINE)[1]


def test_list_says_what_there_is(dlparts):
    code, out, err = dlparts("list", width=200)
    assert (code, err) == (0, "")
    names = [line.split()[0] for line in out.splitlines() if line.startswith("dlparts")]
    assert names == [part.name for part in registry.parts() if part.vendor == "dlparts"]
    assert "Dropout whose rate is itself random" in out
    assert "keras.Dense" not in out


def test_a_part_has_two_lines_at_most_in_80_columns(dlparts):
    _, out, _ = dlparts("list", width=80)
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    names = [line for line in lines if line.startswith("dlparts.")]
    assert len(lines) <= 2 * len(names) + 3 * len(registry.KINDS)


def test_list_of_one_kind_adds_those_of_keras(dlparts):
    _, out, _ = dlparts("list", "layers")
    assert "dlparts.RandomDropout" in out
    assert "dlparts.digits" not in out
    assert "and Keras' own: Activation," in out
    assert not re.search(r"\bLambda\b", out)
    _, out, _ = dlparts("list", "data")
    assert "Keras' own" not in out


def test_list_as_json(dlparts):
    code, out, _ = dlparts("list", "layers", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert code == 0
    assert rows["dlparts.RandomDropout"]["kind"] == "layers"
    assert rows["dlparts.RandomDropout"]["distribution"].startswith("keras-dlparts ")
    assert rows["dlparts.RandomDropout"]["summary"].startswith("Dropout whose rate")


def test_show_says_all_of_a_part(dlparts):
    code, out, _ = dlparts("show", "RandomDropout")
    assert code == 0
    assert out.startswith("dlparts.RandomDropout  layers, keras-dlparts ")
    for told in (
        "    y_ij  = x_ij [u_ij >= rho_i] / (1 - rho_i)   so that E[y] = x\n",
        "arXiv:1506.08700.\n\nDropout whose rate",
        ">>> kept  # zero, and one value 1 / (1 - rho_i) a sample\n[2, 2]\n",
        "rate         required  float ",
        "per          'sample'  Literal['sample', 'batch'] ",
        "seed         None      int | None ",
    ):
        assert told in out


def test_show_of_a_name_that_means_two_parts(dlparts):
    _, out, _ = dlparts("show", "mse", "--json")
    assert [row["kind"] for row in json.loads(out)] == ["losses", "metrics"]
    assert json.loads(out)[0]["arguments"]["name"] == "'mean_squared_error'"
    assert "losses, keras 3" in dlparts("show", "mse")[1]


LENDING = ["search", "none.yaml", "--join", "localhost:1"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "RandomDropuot"], "did you mean 'dlparts.RandomDropout'"),
        (["show", "Lambda"], "runs code"),
        (["list", "layer"], "unknown kind 'layer'. The kinds are: layers"),
        (["verify", "RandomDropuot"], "did you mean 'dlparts.RandomDropout'"),
        (["verify", "Dense"], "Received: Dense, which is Keras' own"),
        (["check", "none.yaml"], "none.yaml\n  cannot be read: No such file"),
        (["train", "none.yaml"], "none.yaml\n  cannot be read: No such file"),
        (["evaluate", "nowhere"], "a run is a folder"),
        (["report", "nowhere"], "a run is a folder"),
        (["report", "."], "status.json and resolved.yaml"),
        (["evaluate", ".", "--split", "tset"], "--split is train, validation or"),
        (["search", "none.yaml"], "none.yaml\n  cannot be read: No such file"),
        (["search", "none.yaml", "--trials", "many"], "Invalid value for '--trials'"),
        ([*LENDING, "--fork"], "is for that command to say. Received: --fork"),
        ([*LENDING, "--trials", "3", "--retries", "0"], ": --trials, --retries"),
        ([*LENDING, "--algorithm", "grid", "--resume"], ": --algorithm, --resume"),
        ([*LENDING, "--median-rule", "--listen", "h"], ": --median-rule, --listen"),
        (["train"], "Missing argument"),
        (["shwo"], "No such command 'shwo'"),
        (["list", "--jsn"], "No such option"),
        (["train", "none.yaml", "--epochs", "many"], "Invalid value for '--epochs'"),
    ],
)
def test_wrong_input_is_told_with_exit_code_2(
    dlparts, tmp_path, monkeypatch, arguments, told
):
    monkeypatch.chdir(tmp_path)
    code, out, err = dlparts(*arguments, width=200)
    assert (code, out) == (2, "")
    assert told in err


def test_no_command_shows_the_help(dlparts):
    code, out, err = dlparts()
    assert code == 2
    assert "Usage: dlparts" in out + err


@pytest.mark.long
def test_schema_is_json(dlparts):
    code, out, _ = dlparts("schema")
    assert code == 0
    assert "$schema" in json.loads(out)


@pytest.mark.long
def test_check(dlparts, run):
    code, out, _ = dlparts("check", run[0], width=400)
    assert code == 0
    assert out == f"{run[0]} is good: a model of 22 parameters\n"
    code, out, err = dlparts("check", run[0], "--set", "model[1].rate=1", width=400)
    assert (code, out) == (2, "")
    assert "`rate` must satisfy 0 <= rate < 1" in err


SEARCHED = """
search: {trials: 2, objective: val_accuracy}
optimizer: {use: SGD, learning_rate: {search: float, min: 0.1, max: 0.5}}
"""


@pytest.mark.long
def test_search_ends_by_naming_the_best_and_the_report(dlparts, run, tmp_path):
    config = tmp_path / "searched.yaml"
    config.write_text(run[0].read_text() + SEARCHED)
    code, out, _ = dlparts("check", config, width=400)
    assert (code, out) == (
        0,
        f"{config} is good: a model of 22 parameters; 1 searched values\n",
    )
    arguments = ("search", config, "--out", tmp_path / "s")
    code, out, err = dlparts(*arguments, "--algorithm", "grid", width=400)
    assert code == 0, err
    assert re.fullmatch(
        r"best    val_accuracy [\d.]+ in trial \d\n"
        rf"config  {tmp_path}/s/best/config.yaml\n"
        rf"report  {tmp_path}/s/report.html\n",
        out,
    )
    assert len(re.findall(r"^trial \d  val_accuracy ", err, re.M)) == 2
    code, out, err = dlparts(*arguments, width=400)
    assert (code, out) == (2, "")
    assert "holds a search. Add --resume" in err
    (tmp_path / "s/report.html").unlink()
    code, out, _ = dlparts("report", tmp_path / "s")
    assert (code, out) == (0, f"{tmp_path}/s/report.html\n")
    again = (*arguments, "--algorithm", "grid", "--resume")
    for name in ("search.json", "oracle.json", "trial_0/trial.json"):
        path = tmp_path / "s" / name
        kept = path.read_bytes()
        for damaged in (b"", b"\xff", b"[1]"):
            path.write_bytes(damaged)
            for command in [("report", tmp_path / "s"), again]:
                code, _, err = dlparts(*command, width=400)
                assert (code, f"'{path}' is broken: " in err) == (2, True)
        path.write_bytes(kept)


@pytest.mark.long
def test_a_search_whose_trials_all_fail_exits_with_1(dlparts, run, tmp_path):
    config = tmp_path / "searched.yaml"
    config.write_text(run[0].read_text() + SEARCHED)
    code, _, err = dlparts(
        *("search", config, "--out", tmp_path / "s", "--set"),
        "optimizer.learning_rate={search: float, min: 1.0e+29, max: 1.0e+30}",
        *("--set", "fit.epochs=9"),
        width=400,
    )
    assert code == 1
    assert "none of 2 trials was completed. the loss is not finite" in err


def test_train_ends_by_naming_the_run_and_its_report(run):
    config, done = run
    assert done.returncode == 0, done.stderr
    path = made(run)
    assert done.stdout == f"run     {path}\nreport  {path}/report.html\n"
    assert os.path.exists(f"{path}/report.html")
    assert os.path.dirname(path) == str(config.parent)
    (line,) = done.stderr.splitlines()  # no remarks of TensorFlow's
    assert line.startswith("epoch 1/1  accuracy ")


@pytest.mark.long
def test_train_resumes(dlparts, run):
    config, _ = run
    arguments = [config, "--out", config.parent, "--set", "optimizer=sgd"]
    code, out, err = dlparts("train", *arguments, "--resume", "--epochs", 2, width=400)
    assert (code, out.split()[1]) == (0, made(run))
    assert "after epoch 1 of 2" in err


def test_a_training_that_fails_exits_with_1(dlparts, run):
    config, _ = run
    code, _, err = dlparts(
        *("train", config, "--out", config.parent / "failed", "--set"),
        "optimizer={use: SGD, learning_rate: 1e30}",
        *("--epochs", 9),
    )
    assert code == 1
    assert "finite" in err


def test_a_folder_that_cannot_be_made_exits_with_1(dlparts, run, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, _, err = dlparts("train", run[0], "--out", tmp_path / "file", width=400)
    assert code == 1
    assert "Not a directory" in err


@pytest.mark.parametrize(
    ("notes", "told"),
    [
        ([], "stopped. Continue with the same command and --resume\n"),
        (["Continue with --out s-2"], "stopped. Continue with --out s-2\n"),
    ],
)
def test_a_stopped_search_says_how_to_go_on(dlparts, monkeypatch, notes, told):
    def stopped(*_, **__):
        interruption = KeyboardInterrupt()
        for note in notes:
            interruption.add_note(note)
        raise interruption

    monkeypatch.setattr("keras_dlparts.searching.search", stopped)
    code, _, err = dlparts("search", "any.yaml", width=400)
    assert (code, err) == (1, told)


@pytest.mark.long
def test_evaluate(dlparts, run):
    code, out, _ = dlparts("evaluate", made(run))
    assert code == 0
    assert re.fullmatch(r"metric +test *\naccuracy +[\d.]+ *\nloss +[\d.]+ *\n", out), (
        out
    )
    _, out, _ = dlparts("evaluate", made(run), "--json", "--split", "validation")
    assert json.loads(out).keys() == {"accuracy", "loss"}
    page = Path(made(run), "report.html").read_text("utf-8")
    best = keras_dlparts.Run(made(run)).best()[1] + 1  # another test may train on
    for wanted in ("Test accuracy", ">Evaluation</h2>", f"weights of epoch {best}"):
        assert wanted in page


def test_evaluate_where_the_run_cannot_be_written_to(dlparts, run, monkeypatch):
    def refuse(*_):
        raise PermissionError("read-only file system")

    monkeypatch.setattr("keras_dlparts.training.evaluation.write_json", refuse)
    code, out, err = dlparts("evaluate", made(run))
    assert (code, "accuracy" in out) == (0, True)
    assert "not noted in the run: read-only file system" in err


@pytest.mark.long
def test_evaluate_of_a_split_that_the_data_lacks(dlparts, run, tmp_path):
    code, _, _ = dlparts(
        *("train", run[0], "--out", tmp_path, "--set", "data.validation_split=0")
    )
    (folder,) = tmp_path.iterdir()
    code, out, err = dlparts("evaluate", folder, "--split", "validation")
    assert (code, out) == (2, "")
    assert "has no split 'validation'" in err
    assert "The splits of this data are: train, test" in " ".join(err.split())


@pytest.mark.long
def test_evaluate_of_a_run_whose_model_is_damaged(dlparts, run, tmp_path):
    dlparts("train", run[0], "--out", tmp_path)
    (folder,) = tmp_path.iterdir()
    (folder / "best.keras").write_bytes(b"no zip")
    code, out, err = dlparts("evaluate", folder, width=400)
    assert (code, out) == (2, "")
    assert "best.keras" in err


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[1]\n2\n"])
def test_a_run_whose_history_is_damaged(dlparts, run, tmp_path, content):
    copy = tmp_path / os.path.basename(made(run))
    shutil.copytree(made(run), copy)
    (copy / "history.csv").write_bytes(content)
    code, out, err = dlparts("evaluate", copy, "--json", width=400)
    assert (code, json.loads(out).keys()) == (0, {"accuracy", "loss"})
    assert err.startswith("not noted in the run: ")
    again = ("train", run[0], "--set", "optimizer=sgd", "--out", tmp_path, "--resume")
    for command in [("report", copy), (*again, "--epochs", 9)]:
        code, out, err = dlparts(*command, width=400)
        assert (code, out) == (2, "")
        assert f"'{copy}/history.csv' is broken: " in err


def test_report_is_written_again(dlparts, run):
    page = f"{made(run)}/report.html"
    os.remove(page)
    code, out, _ = dlparts("report", made(run))
    assert (code, out) == (0, f"{page}\n")
    assert os.path.exists(page)


def test_verify_prints_what_holds(dlparts):
    code, out, _ = dlparts("verify", "parity")
    assert code == 0
    assert out.startswith("dlparts.parity  data, keras-dlparts ")
    assert "  holds  documents its arguments\n" in out
    assert "dlparts.parity()\n" in out
    assert "  holds  feeds fit\n" in out
    assert "fails" not in out


BROKEN = '''
"""A source whose declared shape is not what it yields."""
import numpy as np
from keras_dlparts.data import Source, Spec, Splits


class Lying(Source):
    """Lies."""

    def load(self):
        return Splits(train=(np.zeros((40, 2)), None))

    element_spec = Spec((3,), "float64"), None
'''


def test_verify_exits_with_1_when_something_does_not_hold(
    dlparts, tmp_path, monkeypatch
):
    info = tmp_path / "lying_parts-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: lying-parts\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[keras_dlparts.data]\nlying.Lying = lying_parts:Lying\n"
    )
    (tmp_path / "lying_parts.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    registry._entries.cache_clear()
    try:
        code, out, err = dlparts("verify", "Lying")
    finally:
        registry._entries.cache_clear()
    assert code == 1
    assert "  fails  shows an example\n" in out
    assert "         The docstring needs an `Example:`" in out
    assert "  fails  yields what it declares\n         train yields [((2,)" in out
    assert "  holds  rejects an unknown argument\n" in out
    failed = out.count("  fails  ")
    assert err == f"{failed} checks of the contract failed\n"


def test_verify_prints_what_is_skipped_and_does_not_count_it(capsys):
    part = registry.find("layers", "RandomDropout")
    results = [
        testing.Result("a(b={'c': 1}): holds well", True),
        testing.Result("a(b={'c': 1}): is skipped", None, "for a reason"),
    ]
    assert verify.print_results(part, results) == 0
    out = capsys.readouterr().out
    assert "a(b={'c': 1})\n  holds  holds well\n" in out
    assert "  skips  is skipped\n         for a reason\n" in out


@pytest.mark.parametrize("arguments", ["list", "list layers", "show RandomDropout"])
def test_no_line_is_wider_than_the_terminal(dlparts, arguments):
    _, out, _ = dlparts(*arguments.split(), width=80)
    assert max(map(len, out.splitlines())) <= 88  # docstrings have lines of 88


def test_a_backend_that_does_not_start_is_told():
    done = subprocess.run(
        [*COMMAND, "check", "none.yaml"],
        env={**os.environ, "KERAS_BACKEND": "none"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Keras' backend does not start: ")
    assert "pip install keras-dlparts[tensorflow]" in done.stderr
    assert "Traceback" not in done.stderr


QUICK = [
    "--help",
    "--version",
    "list",
    "list layers",
    "show RandomDropout",
    "show Dense",
]


@pytest.mark.parametrize("arguments", QUICK)
def test_it_imports_no_backend(arguments):
    out = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], *arguments.split()],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in out.stderr.splitlines()}
    assert "keras_dlparts.registry" in imported
    heavy = {"keras", "tensorflow", "jax", "torch", "numpy", "matplotlib"}
    assert not heavy & {name.partition(".")[0] for name in imported}
    assert not [name for name in imported if name.startswith("keras_dlparts.layers")]
    # Python's own, typer's and rich's make some 400, in a third of a second.
    assert len(imported) < 500


@pytest.mark.study
@pytest.mark.skipif(
    not hasattr(os, "getloadavg") or os.getloadavg()[0] > 0.5,
    reason="seconds say something of the command on an idle machine only",
)
@pytest.mark.parametrize("arguments", QUICK)
def test_it_answers_in_under_half_a_second(arguments):
    """The best of several."""
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run(
            [*COMMAND, *arguments.split()], stdout=subprocess.DEVNULL, check=True
        )
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.5
