"""Training from a config: what a run holds, and that it repeats, resumes and stops."""

import json
import random
import signal
import time

import keras
import numpy as np
import pytest
import yaml
from helpers import processes
from helpers.runs import assert_same_weights, weights

from keras_dlparts import NonFiniteError, Run, train
from keras_dlparts.config import load
from keras_dlparts.config.adaptation import adapt
from keras_dlparts.config.assemble import assemble
from keras_dlparts.training import evaluate, folder, write_report
from keras_dlparts.training.log import RunLog
from keras_dlparts.training.loop import model_rows

CONFIG = {
    "name": "small",
    "data": {"use": "spirals", "samples": 300, "batch_size": 32},
    "model": [
        {"use": "Dense", "units": 16, "activation": "relu"},
        {"use": "RandomDropout", "rate": 0.5},
        {"use": "Dropout", "rate": 0.2},
        {"use": "Dense", "units": 3},
    ],
    "optimizer": {"use": "Adam", "learning_rate": 0.01},
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "metrics": ["accuracy"],
    "callbacks": [{"use": "ReduceLROnPlateau", "monitor": "loss", "patience": 1}],
    "fit": {"epochs": 4},
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of four epochs that nothing disturbed."""
    return train(CONFIG, out=tmp_path_factory.mktemp("runs"))


@pytest.mark.long
def test_a_run_holds_what_it_says(whole):
    names = {path.name for path in whole.path.iterdir()}
    # The diff is there where the tests themselves run in a changed repository.
    assert names - {"uncommitted.diff"} == {
        "config.json",
        "resolved.yaml",
        "environment.json",
        "status.json",
        "model.json",
        "history.csv",
        "tensorboard",
        "checkpoints",
        "best.keras",
        "last.keras",
        "report.html",
    }
    assert json.loads((whole.path / "config.json").read_text()) == CONFIG
    assert whole.status["state"] == "done"
    assert whole.history["epoch"] == [1, 2, 3, 4]
    for column in ("loss", "val_loss", "accuracy", "learning_rate", "ms_per_step"):
        assert np.isfinite(whole.history[column]).all(), column
    assert whole.environment["backend"] == keras.backend.backend()
    assert [row["class"] for row in whole.layers] == [
        "InputLayer",
        "Dense",
        "RandomDropout",
        "Dropout",
        "Dense",
    ]
    assert whole.layers[1]["from"] == [whole.layers[0]["name"]]


@pytest.mark.long
def test_tensorboard_reads_the_logs(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole.path / "tensorboard")).Reload()
    losses = [event.value for event in events.Scalars("loss")]
    np.testing.assert_allclose(losses, whole.history["loss"], rtol=1e-6)


@pytest.mark.long
def test_the_resolved_config_repeats_the_run(whole, tmp_path):
    again = train(whole.path / "resolved.yaml", out=tmp_path)
    assert_same_weights(whole, again)
    assert again.config == whole.config


@pytest.mark.long
def test_another_seed_gives_other_weights(whole, tmp_path):
    other = train(CONFIG, ["seed=1"], out=tmp_path)
    assert not np.array_equal(weights(whole)[0], weights(other)[0])


@pytest.mark.long
def test_a_resumed_run_ends_like_one_that_never_stopped(whole, tmp_path, said):
    first = train(CONFIG, out=tmp_path, epochs=2)
    said.clear()
    second = train(CONFIG, out=tmp_path, resume=True)
    assert second.path == first.path
    assert "after epoch 2 of 4" in said[0]
    assert_same_weights(whole, second)
    assert second.history["loss"] == whole.history["loss"]
    assert second.history["learning_rate"] == whole.history["learning_rate"]


CLIPPED = CONFIG | {
    "optimizer": {"use": "SGD", "learning_rate": 0.5},
    "callbacks": [{"use": "RelaxedSmoothnessClipping", "every": 3}],
    "fit": {"epochs": 3},
}


@pytest.mark.long
@pytest.mark.parametrize("epoch", [pytest.param(0, marks=pytest.mark.study), 1])
def test_clipping_goes_on_where_it_was(tmp_path, epoch):
    """Also from before the first epoch, when nothing was measured yet."""
    whole = train(CLIPPED, out=tmp_path / "whole")
    first = train(CLIPPED, out=tmp_path, epochs=1)
    (first.path / "checkpoints" / f"epoch-{1 - epoch:05d}.npz").unlink()
    second = train(CLIPPED, out=tmp_path, resume=True)
    assert_same_weights(whole, second)
    for column in ("L0", "L1", "clip_threshold", "clipped_fraction", "smoothness"):
        assert second.history[column] == whole.history[column], column


@pytest.mark.long
def test_a_clipping_optimizer_tells_what_it_did(tmp_path):
    clipped = {
        "use": "Clipped",
        "optimizer": {"use": "Adam", "learning_rate": 0.01},
        "by": {"use": "FixedNorm", "threshold": 1e-3},
    }
    run = train(CONFIG | {"optimizer": clipped, "fit": {"epochs": 2}}, out=tmp_path)
    assert run.history["clipped_fraction"] == [1, 1]
    assert run.history["clip_threshold"] == pytest.approx([1e-3, 1e-3])
    assert run.history["learning_rate"] == pytest.approx([0.01, 0.01])


@pytest.mark.long
def test_the_config_of_a_run_follows_its_epochs(tmp_path, said):
    first = train(CONFIG, out=tmp_path, epochs=1)
    longer = train(CONFIG, out=tmp_path, epochs=2, resume=True)
    assert (longer.path, longer.config["fit"]["epochs"]) == (first.path, 2)
    said.clear()
    # What is done cannot be taken back.
    shorter = train(CONFIG, out=tmp_path, epochs=1, resume=True)
    assert "after epoch 2 of 2" in said[0]
    assert (shorter.config["fit"]["epochs"], shorter.status["epochs"]) == (2, 2)
    assert shorter.history["epoch"] == [1, 2]


@pytest.mark.long
def test_resume_starts_a_run_where_there_is_none(tmp_path, said):
    said.clear()
    train(CONFIG, out=tmp_path, resume=True, epochs=1)
    assert said[0].startswith("no run of this config")
    train(CONFIG, ["seed=5"], out=tmp_path, resume=True, epochs=1)
    assert len(list(tmp_path.iterdir())) == 2  # another config is another run


@pytest.mark.long
def test_early_stopping_stays_stopped(tmp_path):
    patience = {"use": "EarlyStopping", "monitor": "loss", "patience": 0}
    config = CONFIG | {"callbacks": [patience | {"min_delta": 10.0}]}
    first = train(config, out=tmp_path)
    assert first.history["epoch"] == [1, 2]
    again = train(config, out=tmp_path, resume=True)
    assert again.history["epoch"] == [1, 2]
    assert_same_weights(first, again)


def test_the_best_epoch_is_kept(whole):
    best = int(np.argmin(whole.history["val_loss"]))
    batches = assemble(load(CONFIG)).data.validation
    model = keras.saving.load_model(whole.path / "best.keras")
    loss = model.evaluate(batches, verbose=0, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, whole.history["val_loss"][best], rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(
    ("monitor", "mode", "choose"),
    [("loss", "max", np.argmax), ("accuracy", "auto", np.argmax)],
)
def test_best_can_be_told_what_to_watch(tmp_path, monitor, mode, choose):
    run = train(CONFIG | {"best": {"monitor": monitor, "mode": mode}}, out=tmp_path)
    best = choose(run.history[monitor])
    if best == 3:
        assert all(map(np.array_equal, weights(run), weights(run, "best.keras")))
    else:
        shorter = train(CONFIG, out=tmp_path / "shorter", epochs=int(best) + 1)
        assert all(map(np.array_equal, weights(shorter), weights(run, "best.keras")))


def test_an_unknown_monitor_says_what_there_is(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"best.monitor\n  no column .*val_los'; accepted: epoch, accuracy",
    ):
        train(CONFIG | {"best": {"monitor": "val_los"}}, out=tmp_path)


@pytest.mark.study
def test_a_column_of_validation_may_come_with_a_later_epoch(tmp_path):
    fit = {"epochs": 3, "validation_freq": 2}
    config = CONFIG | {"fit": fit, "best": {"monitor": "val_loss"}}
    run = train(config, out=tmp_path / "a")
    assert np.isfinite(run.history["val_loss"]).tolist() == [False, True, False]
    assert run.best() == ("val_loss", 1)
    second = train(config, out=tmp_path / "b", epochs=2)
    assert_same_weights(second, run, "best.keras")
    unknown = config | {"best": {"monitor": "val_los"}}
    with pytest.raises(ValueError, match=r"val_los'; accepted: .*val_loss"):
        train(unknown, out=tmp_path / "c")
    never = config | {"fit": {"epochs": 1, "validation_freq": 2}}
    with pytest.raises(ValueError, match="no column of the history"):
        train(never, out=tmp_path / "d")


AVERAGED = {"use": "WeightAverage", "kind": "swa", "recalibrate": 0}


@pytest.mark.parametrize(
    ("average", "fit"),
    [
        (AVERAGED | {"start": 0.5}, {"epochs": 4}),
        pytest.param(
            AVERAGED, {"epochs": 4, "validation_freq": 3}, marks=pytest.mark.long
        ),
    ],
)
@pytest.mark.long
def test_a_column_of_a_callback_may_come_with_a_later_epoch(tmp_path, average, fit):
    """Until then val_loss decides, or the loss, and the best model is there."""
    best = {"monitor": "average_val_loss"}
    config = CONFIG | {"callbacks": [average], "fit": fit, "best": best}
    run = train(config, out=tmp_path)
    assert np.isfinite(run.history["average_val_loss"][:2]).tolist() == [False] * 2
    assert run.best()[0] == "average_val_loss"
    assert (run.path / "best.keras").exists()


@pytest.mark.long
@pytest.mark.parametrize("bad", [[1], [1, 3], [1, 2, 3]])
def test_best_keras_is_the_epoch_that_the_run_names(tmp_path, monkeypatch, bad):
    """Also where the column that decides is nan in some epochs."""
    kept, end = [], RunLog.on_epoch_end

    def on_epoch_end(self, epoch, logs=None):
        value = float("nan") if epoch + 1 in bad else -float(epoch)
        end(self, epoch, {**logs, "accuracy": value})
        kept.append((self.folder / "best.keras").read_bytes())

    monkeypatch.setattr(RunLog, "on_epoch_end", on_epoch_end)
    best = {"monitor": "accuracy", "mode": "min"}
    config = CONFIG | {"best": best, "fit": {"epochs": 3}}
    run = train(config, out=tmp_path)
    column, row = run.best()
    assert (column == "accuracy") is (len(bad) < 3)
    assert (run.path / "best.keras").read_bytes() == kept[row]
    assert row == 0 or kept[row] != kept[row - 1]


FOREIGN = {
    "empty": "",
    "broken": "a: [1",
    "binary": "\0\x07",
    "list": "[1, 2]",
    "another program's": "name: x\nfit: 3\n",
    "no sections": "dlparts: 1",
}


@pytest.mark.long
def test_what_is_no_run_is_passed_over(tmp_path):
    run = train(CONFIG, out=tmp_path, epochs=1)
    for name, text in FOREIGN.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "resolved.yaml").write_text(text)
    (tmp_path / "no text").mkdir()
    (tmp_path / "no text" / "resolved.yaml").write_bytes(b"\xff\xfe\xfa")
    (tmp_path / "a folder" / "resolved.yaml").mkdir(parents=True)
    (tmp_path / "a file").write_text("")
    assert train(CONFIG, out=tmp_path, resume=True, epochs=1).path == run.path
    # On other devices, where the state is asked for too.
    (run.path / "status.json").write_text("")
    resolved = yaml.safe_load((run.path / "resolved.yaml").read_text())
    moved = resolved | {"distribute": {"use": "another"}}
    assert folder.latest(tmp_path, moved) == run.path


def test_evaluate_and_report_of_a_finished_run(whole):
    result = evaluate(whole.path)
    assert set(result) == {"loss", "accuracy"}
    assert 0 <= result["accuracy"] <= 1
    (whole.path / "report.html").unlink()
    assert write_report(whole.path).exists()


@pytest.mark.long
def test_the_training_data_is_evaluated_as_it_is(tmp_path):
    noise = {"use": "GaussianNoise", "stddev": 1.0}
    data = CONFIG["data"] | {"transform": noise}
    run = train(CONFIG | {"data": data}, out=tmp_path, epochs=1, verbose=0)
    x, y = run.data("train")
    plain = run.model.evaluate(x, y, verbose=0, return_dict=True)
    assert evaluate(run.path, "train") == pytest.approx(plain, rel=1e-4)


def test_training_needs_data(tmp_path):
    config = {k: v for k, v in CONFIG.items() if k != "data"}
    with pytest.raises(ValueError, match="`data:` is missing"):
        train(config, out=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.long
def test_other_versions_are_said(whole, tmp_path, said):
    resolved = yaml.safe_load((whole.path / "resolved.yaml").read_text())
    resolved["versions"]["keras"] = "3.0.0"
    said.clear()
    train(resolved, out=tmp_path, epochs=1)
    assert said == [
        f"the config was resolved with keras 3.0.0; here it is {keras.__version__}"
    ]


def test_a_nan_names_the_layer_whose_output_went_bad(tmp_path):
    config = CONFIG | {
        "model": [
            {"use": "Rescaling", "scale": 1e30, "name": "fine"},
            {"use": "Rescaling", "scale": 1e30, "name": "too_much"},
            {"use": "Dense", "units": 3},
        ]
    }
    with pytest.raises(NonFiniteError, match=r"output of layer 'too_much'") as caught:
        train(config, out=tmp_path)
    (path,) = tmp_path.iterdir()
    status = Run(path).status
    assert status["state"] == "failed"
    assert status["message"] == str(caught.value)
    assert "too_much" in (path / "report.html").read_text()


def test_a_nan_that_comes_later_names_epoch_and_step(tmp_path):
    config = CONFIG | {
        "optimizer": {"use": "SGD", "learning_rate": 1e6},
        "model": [{"use": "Dense", "units": 64, "name": f"d{i}"} for i in range(8)]
        + [{"use": "Dense", "units": 3}],
        "callbacks": [],
    }
    pattern = r"at epoch 1, step \d+. What first went bad: the (output|gradient) of"
    with pytest.raises(NonFiniteError, match=pattern):
        train(config, out=tmp_path)


@pytest.mark.long
def test_normalisation_is_adapted_before_training(tmp_path):
    config = CONFIG | {
        "model": [
            {"use": "Rescaling", "scale": 4.0, "offset": 3.0},
            {"use": "Normalization", "name": "first"},
            {"use": "Dense", "units": 3},
        ]
    }
    run = train(config, out=tmp_path, epochs=1)
    x, _ = assemble(load(config)).data.train.arrays()
    layer = run.model.get_layer("first")
    np.testing.assert_allclose(
        np.ravel(layer.mean), (4 * x + 3).mean(0), rtol=1e-4, atol=1e-4
    )


def test_a_given_mean_is_not_adapted():
    config = CONFIG | {
        "model": [
            {"use": "Normalization", "mean": [5.0, 5.0], "variance": [1.0, 1.0]},
            {"use": "Dense", "units": 3},
        ]
    }
    made = assemble(load(config))
    adapt(made.model, made.data.train)
    np.testing.assert_array_equal(np.ravel(made.model.layers[1].mean), [5, 5])


# What a real process does when it is killed.


def train_command(config, out):
    return "train", config, "--out", out, "--resume"


def epochs_of(out):
    """How many epochs the run under `out` has finished."""
    (path,) = out.glob("*/status.json")
    return json.loads(path.read_text())["epoch"]


KILLS, SEED = 6, 7


def position(out, steps):
    """How many steps of the run under `out` its checkpoints hold."""
    names = [path.stem.split("-") for path in out.glob("*/checkpoints/epoch-*.npz")]
    done = [int(n[1]) * steps + (int(n[3]) if len(n) > 2 else 0) for n in names]
    return max(done, default=0)


@pytest.mark.study
def test_killed_at_random_moments_it_ends_with_the_same_weights(tmp_path):
    """`kill -9` between 0 and 100 ms after six random checkpoints, some of them within
    an epoch: in a step, a validation, or while a file is being written."""
    epochs, steps = 20, 9
    config = tmp_path / "config.json"
    fit = {"epochs": epochs, "checkpoint_every": 4}
    config.write_text(json.dumps(CONFIG | {"fit": fit}))
    undisturbed = train(config, out=tmp_path / "undisturbed")
    out, chance = tmp_path / "killed", random.Random(SEED)
    moments = []
    for at in sorted(chance.sample(range(epochs * steps - steps), KILLS)):
        after = chance.uniform(0, 0.1)
        process = processes.start(*train_command(config, out))
        processes.until(
            lambda at=at: position(out, steps) >= at, process=process, every=0.002
        )
        time.sleep(after)
        processes.kill(process)
        left = [path.name for path in out.glob("**/.partial-*")]
        moments.append((at, after, position(out, steps), left))
    done = processes.start(*train_command(config, out))
    _, stderr = done.communicate()
    told = f"seed {SEED}, killed at (checkpoint, seconds after it, reached, half "
    told += f"written): {moments}"
    assert done.returncode == 0, (told, stderr)
    (path,) = out.iterdir()
    run = Run(path)
    assert run.status["state"] == "done", told
    for column in ("loss", "val_loss", "accuracy", "val_accuracy", "learning_rate"):
        assert run.history[column] == undisturbed.history[column], (column, told)
    for name in ("last.keras", "best.keras"):
        assert_same_weights(undisturbed, run, name, told)
    assert not [*out.glob("**/.partial-*")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.study)]
)
def test_ctrl_c_leaves_a_run_to_continue(tmp_path, how, said):
    config = tmp_path / "config.json"
    config.write_text(json.dumps(CONFIG | {"fit": {"epochs": 2000}}))
    out = tmp_path / "runs"
    process = processes.start(*train_command(config, out))
    processes.until(lambda: epochs_of(out) >= 2, process=process)
    process.send_signal(how)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "--resume" in stderr
    assert "Traceback" not in stderr
    (path,) = (tmp_path / "runs").iterdir()
    run = Run(path)
    assert run.status["state"] == "stopped"
    assert (path / "report.html").exists()
    said.clear()
    epochs = int(run.status["epoch"]) + 1
    again = train(config, out=tmp_path / "runs", resume=True, epochs=epochs)
    assert again.path == path
    assert again.status["state"] == "done"


def test_the_table_of_a_model_names_what_feeds_each_layer():
    """Through operations too, which have no row; nested models are one row."""
    x = keras.Input((4,), name="x")
    shared = keras.layers.Dense(4, name="shared")
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name="inner")
    model = keras.Model(x, inner(shared(shared(x) * 2 + x)))
    rows = {row["name"]: row for row in model_rows(model)}
    assert [*rows] == ["x", "shared", "inner"]
    assert rows["shared"]["from"] == ["x", "shared", "x"]
    assert rows["inner"]["from"] == ["shared"]
    assert rows["inner"]["output_shape"] == "(None, 3)"
    assert (rows["shared"]["parameters"], rows["x"]["parameters"]) == (20, 0)
    row = model_rows(inner)[0]
    assert (row["output_shape"], len(row["from"])) == ("(None, 3)", 1)
