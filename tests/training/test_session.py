"""The phases of a training: one preparation for all, and every ending is told."""

import json
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_dlparts import ConfigError, NonFiniteError, Run, hypermodel, train
from keras_dlparts.config import load
from keras_dlparts.training import nonfinite, session
from keras_dlparts.training.session import Session

# With everything that is prepared: a layer that learns from the data, pre-training, and
# a callback that looks at the data.
PREPARED = {
    "data": {"use": "digits", "batch_size": 256, "validation_split": 0.2},
    "model": {"use": "DBN", "units": [6], "classes": 10},
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "pretrain": {"epochs": 1},
    "callbacks": [{"use": "GradientFlow", "every": 3}],
    "fit": {"epochs": 2},
}
SMALL = {
    "data": {"use": "spirals", "samples": 60, "batch_size": 16},
    "model": [
        {"use": "Normalization"},
        {"use": "Dropout", "rate": 0.5},
        {"use": "Dense", "units": 3},
    ],
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": 2},
}
EXPLODES = SMALL | {
    "model": [
        {"use": "Rescaling", "scale": 1e30, "name": "fine"},
        {"use": "Rescaling", "scale": 1e30, "name": "too_much"},
        {"use": "Dense", "units": 3},
    ]
}


def assert_same(one, other):
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.fixture(scope="module", params=[SMALL, PREPARED], ids=["small", "prepared"])
def trained(request, tmp_path_factory):
    """(a config, the model that `train` ends with)."""
    run = train(request.param, out=tmp_path_factory.mktemp("runs"))
    return request.param, keras.saving.load_model(run.path / "last.keras")


@pytest.mark.long
def test_a_hypermodel_trains_as_train_does(trained):
    import keras_tuner

    config, theirs = trained
    hyper, hp = hypermodel(config), keras_tuner.HyperParameters()
    ours, seen = hyper.build(hp), []
    watch = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(e))
    history = hyper.fit(hp, ours, verbose=0, callbacks=[watch])
    assert_same(ours, theirs)
    assert seen == [0, 1]
    assert len(history.history["val_loss"]) == 2


@pytest.mark.long
def test_the_studies_train_as_train_does(trained, monkeypatch):
    examples = Path(__file__).parents[2] / "examples"
    monkeypatch.syspath_prepend(str(examples))
    from studies import fitted

    config, theirs = trained
    history, made = fitted(config)
    assert_same(made.model, theirs)
    assert len(history["loss"]) == 2
    sys.modules.pop("studies")


def stopped_look(monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(nonfinite, "first_bad", fail)


@pytest.mark.parametrize(
    "error", [MemoryError("no room"), RuntimeError("OOM when allocating"), OSError(5)]
)
def test_a_look_that_fails_hides_no_nan(error, tmp_path, monkeypatch):
    stopped_look(monkeypatch, error)
    words = "the loss is not finite. The look for where it began failed: "
    with pytest.raises(NonFiniteError, match=f"{words}{type(error).__name__}"):
        train(EXPLODES, out=tmp_path)
    status = Run(next(tmp_path.iterdir())).status
    assert status["state"] == "failed"
    assert status["message"].startswith(words)


def test_without_a_checkpoint_there_is_nothing_to_look_from(tmp_path, monkeypatch):
    monkeypatch.setattr(session.Checkpoints, "newest", lambda *_: None)
    with pytest.raises(NonFiniteError, match="No whole checkpoint is left to look"):
        train(EXPLODES, out=tmp_path)


def test_a_look_that_is_stopped_leaves_what_it_was_to_explain(tmp_path, monkeypatch):
    stopped_look(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train(EXPLODES, out=tmp_path)
    status = Run(next(tmp_path.iterdir())).status
    assert status["state"] == "failed"
    assert "not finite; the look for its cause was cut short" in status["message"]


@pytest.mark.long
def test_two_trainings_at_once_in_a_process_are_refused(tmp_path):
    """They would share the random seeds, and each would end with other weights."""
    told = []

    def second(*_):
        try:
            train(SMALL, out=tmp_path / "second")
        except RuntimeError as error:
            told.append(str(error))

    def elsewhere(epoch, logs):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        second()  # nor one within another

    with Session(load(SMALL)) as first:
        first.prepare()
        first.restore()
        first.fit([keras.callbacks.LambdaCallback(on_epoch_begin=elsewhere)], epochs=1)
    assert len(told) == 2
    assert "trains one config at a time" in told[0]
    assert not (tmp_path / "second").exists()
    assert train(SMALL, out=tmp_path / "third").status["state"] == "done"


@pytest.mark.long
def test_a_run_that_is_under_way_is_not_resumed(tmp_path):
    run = train(SMALL, out=tmp_path, epochs=1)
    before = (run.path / "status.json").read_text()
    code = "import pathlib, sys; from keras_dlparts.support.locks import lock\n"
    code += "with lock(pathlib.Path(sys.argv[1]), print): print(1, flush=True); input()"
    import subprocess

    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(run.path / "run.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline()
    message = rf"process {holder.pid} on .* is training here. Wait for it to end"
    with pytest.raises(ConfigError, match=message):
        train(SMALL, out=tmp_path, resume=True)
    assert (run.path / "status.json").read_text() == before
    holder.kill()
    holder.communicate()
    again = train(SMALL, out=tmp_path, resume=True)
    assert again.path == run.path
    assert not (run.path / "run.lock").exists()


@pytest.mark.long
def test_a_run_holds_its_lock_while_it_trains(tmp_path):
    seen = []

    def look(self, epoch, logs=None):
        (path,) = tmp_path.glob("*/run.lock")
        seen.append(path.read_text())

    class Looking(keras.callbacks.Callback):
        on_epoch_end = look

    from keras_dlparts.training import folder
    from keras_dlparts.training.loop import carry_out

    experiment = load(SMALL)
    carry_out(
        experiment,
        lambda resolved: folder.create(tmp_path, experiment, resolved),
        print,
        watchers=[Looking()],
    )
    assert seen[0].startswith("process ")


@pytest.mark.long
def test_other_data_is_not_gone_on_with(tmp_path):
    """400 rows, then 100: it went on silently."""

    def write(rows, change=0.0):
        x = np.random.default_rng(0).normal(size=(400, 3)).astype("float32")[:rows]
        x[rows // 2] += change
        np.savez(tmp_path / "a.npz", x=x, y=x[:, :1])

    data = {"use": "npz", "path": str(tmp_path / "a.npz"), "validation_split": 0.25}
    config = {
        "data": data,
        "model": [{"use": "Dense", "units": 1}],
        "loss": "mse",
        "fit": {"epochs": 2},
    }
    out = tmp_path / "runs"
    write(400)
    first = train(config, out=out, epochs=1)
    before = {path: path.read_bytes() for path in first.path.glob("*.*")}
    for rows, change, words in (
        (100, 0.0, "train x had 300 samples, and has 75 now"),
        (400, 0.1, "(train|validation) x has other values"),
    ):
        write(rows, change)
        with pytest.raises(ConfigError, match=rf"^data\n  it has changed .*{words}"):
            train(config, out=out, resume=True)
        assert {p: p.read_bytes() for p in first.path.glob("*.*")} == before
    write(400, 1e-8)  # as another processor may compute it
    assert train(config, out=out, resume=True).path == first.path


@pytest.mark.long
def test_a_checkpoint_from_before_data_was_noted_is_gone_on_with(tmp_path):
    first = train(SMALL, out=tmp_path, epochs=1)
    path = first.path / "checkpoints" / "epoch-00001.npz"
    with np.load(path) as file:
        arrays = dict(file)
    manifest = json.loads(str(arrays["manifest"]))
    del manifest["data"]
    np.savez(path, **arrays | {"manifest": np.array(json.dumps(manifest))})
    assert train(SMALL, out=tmp_path, resume=True).history["epoch"] == [1, 2]
