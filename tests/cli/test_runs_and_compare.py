"""`dlparts runs` and `dlparts compare`: quick, narrow, plain about what is wrong."""

import json
import os
import subprocess
import sys

import pytest


@pytest.fixture
def folder(tmp_path):
    for number, rate in enumerate((0.001, 0.01)):
        run = tmp_path / "runs" / f"a-rather-long-name-20250102-03040{number}"
        run.mkdir(parents=True)
        status = {"state": "done", "epoch": 1, "epochs": 1, "seconds": 3.0}
        (run / "status.json").write_text(json.dumps(status))
        (run / "resolved.yaml").write_text(
            f"model: []\noptimizer: {{learning_rate: {rate}}}\n"
        )
        (run / "history.csv").write_text(f"epoch,loss,val_loss\n1,2,{3 + number}\n")
    return tmp_path / "runs"


def test_runs_fit_80_columns(dlparts, folder):
    code, out, err = dlparts("runs", folder)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "best val_loss" in out
    assert "learning_rate=0.01" in out
    assert "3 at 1" in out


@pytest.fixture
def two_monitors(folder):
    last = sorted(folder.iterdir())[1]
    with (last / "resolved.yaml").open("a") as file:
        file.write("instance_noise: 0.125\n")
    (last / "history.csv").write_text("epoch,accuracy,loss\n1,2,3.25\n")
    return folder


@pytest.mark.parametrize("width", [60, 80])
def test_the_table_of_runs_loses_no_character(dlparts, two_monitors, width):
    wide, out = (dlparts("runs", two_monitors, width=w)[1] for w in (300, width))
    assert "loss 3.25 at 1" in wide
    # Cells are folded, so that the characters come in another order.
    assert sorted("".join(out.split())) == sorted("".join(wide.split()))


@pytest.mark.parametrize("width", [20, 40, 59])
def test_a_narrow_terminal_wraps_whole_lines_of_runs(dlparts, two_monitors, width):
    code, out, err = dlparts("runs", two_monitors, width=width)
    assert (code, err) == (0, "")
    first, second = sorted(path.name for path in two_monitors.iterdir())
    assert out.splitlines() == [
        first,
        "  done, best val_loss 3 at 1, 3.0 s",
        second,
        "  done, best loss 3.25 at 1, 3.0 s",
        "  learning_rate=0.01 instance_noise=0.125",
    ]


def test_runs_as_json(dlparts, folder):
    rows = json.loads(dlparts("runs", folder, "--json")[1])
    assert [row["optimizer.learning_rate"] for row in rows] == [0.001, 0.01]


def test_json_has_no_nan(dlparts, folder):
    for path in folder.glob("*/history.csv"):
        path.unlink()
    assert json.loads(dlparts("runs", folder, "--json")[1])[0]["best"] is None


def test_no_runs(dlparts, tmp_path):
    code, out, err = dlparts("runs", tmp_path)
    assert (code, out) == (0, "")
    assert "no runs under" in err
    assert "dlparts train" in err
    code, out, err = dlparts("runs", tmp_path / "absent")
    assert code == 2
    assert "there is nothing" in err


def test_a_broken_run_does_not_hide_the_others(dlparts, folder):
    (next(folder.glob("*0")) / "status.json").write_text("{")
    code, out, err = dlparts("runs", folder)
    assert code == 0
    assert "030401" in out
    assert "is left out:" in err
    assert "status.json" in err


def test_compare_writes_a_page(dlparts, folder, tmp_path):
    page = tmp_path / "page.html"
    code, out, err = dlparts("compare", *sorted(folder.iterdir()), "--out", page)
    assert (code, err) == (0, "")
    assert "optimizer.learning_rate" in out
    assert str(page) in out
    assert "2 curves" in page.read_text("utf-8")


def test_compare_prints_to_a_terminal_without_its_dash(folder, tmp_path):
    runs = sorted(folder.iterdir())
    with (runs[0] / "resolved.yaml").open("a") as file:
        file.write("seed: 3\n")  # the other run has a dash there
    done = subprocess.run(
        [sys.executable, "-m", "keras_dlparts", "compare", *map(str, runs)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "?" in done.stdout


def test_compare_names_a_config_that_was_cut_off(dlparts, folder, tmp_path):
    runs = sorted(folder.iterdir())
    (runs[1] / "resolved.yaml").write_text("dlparts: 1\nname: a\n")
    code, out, err = dlparts("compare", *runs, "--out", tmp_path / "page.html")
    assert (code, out) == (2, "")
    assert "resolved.yaml' is broken: it has `model`" in err


@pytest.mark.parametrize("count", [1, 0])
def test_compare_asks_for_two(dlparts, folder, count):
    code, _, err = dlparts("compare", *[*folder.iterdir()][:count])
    assert code == 2
    assert "Received: 1" in err if count else "RUN" in err


def test_compare_of_what_is_no_run(dlparts, folder, tmp_path):
    code, _, err = dlparts("compare", tmp_path, folder)
    assert code == 2
    assert "a run holds status.json" in err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["runs", "compare"])
def test_no_backend_is_imported(folder, tmp_path, command):
    given = [folder] if command == "runs" else [*folder.iterdir()]
    code = (
        "import sys; from keras_dlparts.cli.app import app; "
        f"app({[command, *map(str, given)]!r}, standalone_mode=False); "
        "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.endswith("[]\n")
