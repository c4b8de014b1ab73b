"""`dlparts train --workers`: real workers, real kills, one run directory."""

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from helpers.processes import DLPARTS, children, until
from helpers.runs import weights

from keras_dlparts.training import several

pytestmark = pytest.mark.slow

CONFIG = {
    "name": "small",
    "data": {"use": "spirals", "samples": 330, "batch_size": 32},
    "model": [
        {"use": "Normalization"},
        {"use": "Dense", "units": 16, "activation": "relu"},
        {"use": "Dense", "units": 3},
    ],
    "optimizer": {"use": "Adam", "learning_rate": 0.01},
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "fit": {"epochs": 3, "class_weight": {"1": 2.0}},
}
DROPOUT = [{"use": "RandomDropout", "rate": 0.5}, {"use": "Dropout", "rate": 0.1}]


def command(folder, workers, *more):
    name = "none" if workers is None else "multi_worker"
    chosen = ["--distribute", name]
    chosen += [] if workers is None else ["--workers", str(workers)]
    config = str(folder / "config.json")
    arguments = ["train", config, "--out", str(folder / "runs"), *chosen, *more]
    return [*DLPARTS, *arguments]


def environment(backend):
    dropped = ("TF_CONFIG", "XLA_FLAGS")
    kept = {k: v for k, v in os.environ.items() if k not in dropped}
    # Workers of one machine talk past a proxy, for which nobody answers here.
    return {**kept, "KERAS_BACKEND": backend, "http_proxy": "http://127.0.0.1:9"}


def started(folder, workers, backend, *more):
    """The command as a process, its messages in a file beside the runs."""
    with (folder / "said").open("ab") as said:
        return subprocess.Popen(
            command(folder, workers, *more),
            stdout=said,
            stderr=said,
            env=environment(backend),
        )


def trained(folder, config, workers, backend, *more):
    """Train to the end; the run's folder."""
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    process = started(folder, workers, backend, *more)
    try:
        code = process.wait(timeout=300)
    finally:
        process.kill()
    assert code == 0, (folder / "said").read_text()[-4000:]
    (run,) = (folder / "runs").iterdir()
    return run


def history(run):
    with (run / "history.csv").open() as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("backend", "workers"),
    [
        pytest.param("tensorflow", 2, marks=pytest.mark.study),
        ("tensorflow", 3),
        pytest.param("jax", 2, marks=pytest.mark.study),
    ],
)
def test_a_run_of_several_workers_is_that_of_one(backend, workers, tmp_path):
    # 297 samples to train on: three times three batches, and nine more.
    config = {**CONFIG, "data": {**CONFIG["data"], "batch_size": 36, "samples": 320}}
    one = trained(tmp_path / "one", config, None, backend)
    run = trained(tmp_path / "several", config, workers, backend)
    for ours, theirs in zip(weights(run), weights(one), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    for ours, theirs in zip(history(run), history(one), strict=True):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)
        assert 0 <= ours["data_wait_share"] < 1
    logs = {f"{i}.log" for i in range(1, workers)}
    assert {path.name for path in (run / "workers").iterdir()} == logs
    names = {path.name for path in one.iterdir()}
    assert {path.name for path in run.iterdir()} == names | {"workers"}
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    assert sorted(path.name for path in (tmp_path / "several").iterdir()) == [
        "config.json",
        "runs",
        "said",
    ]


@pytest.mark.study
def test_workers_learn_layer_by_layer_as_one(tmp_path):
    """On JAX, where random draws are those of one device."""
    config = {
        "data": {"use": "digits", "batch_size": 100},
        "model": {"use": "DBN", "units": [16, 8], "classes": 10},
        "pretrain": {"epochs": 2},
        "loss": CONFIG["loss"],
        "fit": {"epochs": 1},
    }
    one = trained(tmp_path / "one", config, None, "jax")
    run = trained(tmp_path / "several", config, 2, "jax")
    for ours, theirs in zip(weights(run), weights(one), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    ours, theirs = (
        np.genfromtxt(path / "pretraining.csv", delimiter=",", skip_header=1)
        for path in (run, one)
    )
    assert ours.shape == (4, 6)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


def status(folder):
    (run,) = (folder / "runs").iterdir()
    return json.loads((run / "status.json").read_text())


def wait_for_epochs(folder, count, process):
    """Until a run has so many epochs behind it."""

    def are_done():
        assert process.poll() is None, (folder / "said").read_text()[-4000:]
        state = status(folder)
        return state["state"] == "running" and state["epoch"] >= count

    until(are_done, 200)


@pytest.mark.study  # minutes: five times two workers start
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_nothing_is_lost(backend, tmp_path):
    """One worker killed, the launcher stopped, all killed: each time at some moment."""
    epochs = 24
    config = {**CONFIG, "deterministic": True}
    config["fit"] = {"epochs": epochs, "checkpoint_every": 4}
    config["model"] = [*CONFIG["model"][:2], *DROPOUT, CONFIG["model"][2]]
    whole = trained(tmp_path / "whole", config, 2, backend)
    folder = tmp_path / "disturbed"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    seed = random.randrange(10**6)
    print("seed", seed)
    moments = random.Random(seed)

    def disturbed(after):
        process = started(folder, 2, backend, "--resume")
        wait_for_epochs(folder, after, process)
        time.sleep(moments.uniform(0, 0.3))
        return process, children(process.pid)

    def is_over(process, pids):
        began = time.monotonic()
        code = process.wait(timeout=60)
        assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)
        return code, time.monotonic() - began

    process, (chief, other) = disturbed(1)
    os.kill(other, signal.SIGKILL)
    code, seconds = is_over(process, (chief, other))
    assert code == 1
    assert seconds < 5  # TensorFlow's own workers notice after ten
    said = (folder / "said").read_text()
    assert "worker 1 was killed by SIGKILL (out of memory?). All workers were" in said
    assert "Continue with the same command and --resume" in said
    assert status(folder)["state"] == "failed"

    process, (chief, other) = disturbed(status(folder)["epoch"] + 1)
    process.send_signal(signal.SIGTERM)
    code, _ = is_over(process, (chief, other))
    assert code == 1
    assert status(folder)["state"] == "stopped"

    process, pids = disturbed(status(folder)["epoch"] + 1)
    for pid in (process.pid, *pids):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.2)

    process, (chief, other) = disturbed(status(folder)["epoch"] + 1)
    os.kill(chief, signal.SIGKILL)
    assert is_over(process, (chief, other))[0] == 1
    assert "worker 0 was killed by SIGKILL" in (folder / "said").read_text()

    run = trained(folder, config, 2, backend, "--resume")
    # And once more from within an epoch, whatever the moments were.
    again = tmp_path / "again"
    shutil.copytree(tmp_path / "whole", again)
    (last,) = again.glob(f"runs/*/checkpoints/epoch-{epochs:05d}.npz")
    last.unlink()
    within = trained(again, config, 2, backend, "--resume")
    said = (again / "said").read_text()
    assert f"after epoch {epochs - 1} of {epochs}, step 8 of the next" in said
    for one, resumes in ((run, 4), (within, 1)):
        for ours, theirs in zip(weights(one), weights(whole), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert [row["epoch"] for row in history(one)] == [*range(1, epochs + 1)]
        losses, wanted = ([r["loss"] for r in history(h)] for h in (one, whole))
        # TensorFlow's workers go on with equal parts of what they had summed up, and
        # an epoch's mean is rounded in another order.
        np.testing.assert_allclose(losses, wanted, rtol=1e-6)
        changed = np.not_equal(losses, wanted).sum()
        assert changed <= (resumes if backend == "tensorflow" else 0)


@pytest.mark.study
def test_a_wrong_config_is_told_once(tmp_path):
    config = {**CONFIG, "optimizer": "Adm"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    process = started(tmp_path, 2, "tensorflow")
    assert process.wait(timeout=120) == 2
    said = (tmp_path / "said").read_text()
    assert said.count("unknown optimizer 'Adm'") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.study
def test_a_nan_is_told_by_the_chief(tmp_path):
    config = {**CONFIG, "optimizer": {"use": "SGD", "learning_rate": 1e30}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    process = started(tmp_path, 2, "tensorflow")
    assert process.wait(timeout=200) == 1
    said = (tmp_path / "said").read_text()
    assert re.search(r"not finite at epoch 1, step \d+\. Train on one device", said)
    assert status(tmp_path)["state"] == "failed"
    assert "not finite" in status(tmp_path)["message"]


def test_one_worker_needs_no_copy(tmp_path):
    assert several.place(None, lambda: tmp_path) == tmp_path
