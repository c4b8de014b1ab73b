"""A model of the user's own, and objects of Python where parts of a config stand."""

import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import yaml
from helpers import processes
from helpers.runs import assert_same_weights, history, weights

from keras_dlparts import ConfigError, NonFiniteError, Run, build, load_model, train
from keras_dlparts.callbacks import GradientFlow
from keras_dlparts.data import Batches, Spirals
from keras_dlparts.layers import RandomDropout
from keras_dlparts.training import chunks, evaluate, write_report
from keras_dlparts.training.checkpoint import Checkpoints

RNG = np.random.default_rng(0)
X = RNG.normal(size=(96, 4)).astype("float32")
Y = (X.sum(axis=1) > 0).astype("int32")


def make(**compiling):
    """A compiled model with two kinds of random layers, the same each time."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(8, activation="relu", name="hidden"),
            RandomDropout(0.3),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(2, name="logits"),
        ]
    )
    given = {
        "optimizer": keras.optimizers.Adam(0.01),
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": ["accuracy"],
    }
    model.compile(**given | compiling)
    return model


class Rows(keras.utils.PyDataset):
    """Batches that it shuffles itself, after each epoch, by numpy's own generator."""

    def __init__(self, generator=np.random):
        super().__init__()
        self.rows, self.generator = np.arange(96), generator

    def __len__(self):
        return 3

    def __getitem__(self, index):
        rows = self.rows[32 * index : 32 * index + 32]
        return X[rows], Y[rows]

    def on_epoch_end(self):
        self.generator.shuffle(self.rows)


def tf_data(seed=3):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(96, seed=seed).batch(32)


def loader():
    data = pytest.importorskip("torch.utils.data")
    import torch

    rows = data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return data.DataLoader(rows, batch_size=32, shuffle=True)


DATA = {
    "arrays": lambda: (X, Y),
    "PyDataset": Rows,
    "tf.data": tf_data,
    "DataLoader": loader,
    "function": lambda: lambda: iter(Rows()),
    "endless": lambda: lambda: iter(Batches(X, Y, 32)),
    "source": lambda: Spirals(samples=96, batch_size=32, validation_split=0.0),
}


def options(name):
    return {"steps_per_epoch": 2} if name == "endless" else {}


def stopped(monkeypatch, after, go):
    """Have what `go` trains stopped right after its `after`th checkpoint."""
    save, left = Checkpoints.save, [after]

    def saving(self, *args):
        save(self, *args)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", saving)
        with pytest.raises(KeyboardInterrupt):
            go()


@pytest.mark.long
def test_it_trains_as_fit_does(tmp_path):
    ours, theirs = make(), make()
    for model in (ours, theirs):  # nothing random is left
        for layer in model.layers[1:3]:
            layer.rate = 0.0
    batches = Batches(X, Y, batch_size=32)
    train(model=ours, data=batches, epochs=2, out=tmp_path)
    theirs.fit(batches, epochs=2, shuffle=False, verbose=0)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a model of one's own, with a callback that keeps state."""
    stop = keras.callbacks.EarlyStopping(monitor="loss", patience=5)
    return train(
        model=make(),
        data=(X, Y),
        validation_split=0.25,
        epochs=3,
        callbacks=[stop],
        out=tmp_path_factory.mktemp("runs"),
    )


@pytest.mark.long
def test_its_directory_has_the_model_and_what_a_run_has(run):
    names = {path.name for path in run.path.iterdir()}
    assert names >= {"initial.keras", "best.keras", "last.keras", "report.html"}
    assert "hidden" in (run.path / "report.html").read_text()
    assert run.status["state"] == "done"
    assert [layer["name"] for layer in run.layers][-1] == "logits"
    assert set(run.history) >= {"loss", "val_loss", "accuracy", "ms_per_step"}


def test_the_resolved_config_says_what_the_objects_were(run):
    said = run.config
    assert said["model"]["object"] == "keras.Sequential"
    layers = said["model"]["config"]["layers"]
    assert layers[1]["config"]["units"] == 8
    assert said["optimizer"]["object"] == "keras.Adam"
    assert said["optimizer"]["config"]["learning_rate"] == pytest.approx(0.01)
    assert said["loss"]["config"]["from_logits"] is True
    assert said["metrics"] == [{"object": "accuracy"}]
    assert said["callbacks"][0]["attributes"]["patience"] == 5
    assert said["data"]["object"] == "arrays"
    assert said["data"]["x"] == "float32 [4]"


@pytest.mark.long
def test_it_evaluates_where_the_data_is_given_again(run):
    found = evaluate(run.path, data=(X, Y))
    assert found["loss"] == pytest.approx(
        run.model.evaluate(X, Y, verbose=0, return_dict=True)["loss"], rel=1e-5
    )
    with pytest.raises(ConfigError, match="given as an object of Python"):
        evaluate(run.path)


def test_its_report_is_written_again(run):
    assert "logits" in write_report(run.path).read_text()


@pytest.mark.long
def test_it_repeats_from_its_resolved_config(run, tmp_path):
    again = train(
        run.path / "resolved.yaml",
        data=(X, Y),
        validation_split=0.25,
        callbacks=[keras.callbacks.EarlyStopping(monitor="loss", patience=5)],
        out=tmp_path,
    )
    assert history(again) == history(run)
    assert_same_weights(again, run)


def test_what_a_resolved_config_only_notes_must_be_given_again(run):
    with pytest.raises(ConfigError, match=r"callbacks\[0\](.|\n)*object of Python"):
        train(run.path / "resolved.yaml", data=(X, Y))


@pytest.mark.long
@pytest.mark.parametrize(
    "name",
    [
        "arrays",
        *(
            pytest.param(name, marks=pytest.mark.study)
            for name in ("PyDataset", "tf.data", "DataLoader")
        ),
    ],
)
def test_stopped_and_resumed_it_ends_as_if_never_stopped(name, tmp_path, monkeypatch):
    check_resume(name, tmp_path, monkeypatch)


@pytest.mark.study
@pytest.mark.parametrize("name", ["function", "endless", "source"])
def test_of_other_data_it_does_so_too(name, tmp_path, monkeypatch):
    check_resume(name, tmp_path, monkeypatch)


def check_resume(name, tmp_path, monkeypatch):
    def go(folder, **more):
        callbacks = [
            keras.callbacks.EarlyStopping(
                "loss", patience=2, restore_best_weights=True
            ),
            keras.callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=1.0),
        ]
        outputs = 3 if name == "source" else 2
        model = make()
        if name == "source":
            model = keras.Sequential(
                [RandomDropout(0.3), keras.layers.Dense(outputs, name="logits")]
            )
            model.compile(
                "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            )
        return train(
            {"fit": {"checkpoint_every": 1}},
            model=model,
            data=DATA[name](),
            callbacks=callbacks,
            epochs=3,
            directory=tmp_path / folder,
            **options(name) | more,
        )

    whole = go("whole")
    # Within the third epoch.
    after = 6 if name in ("endless", "source") else 8
    stopped(monkeypatch, after, lambda: go("stopped"))
    resumed = go("stopped", resume=True)
    assert history(resumed) == history(whole)
    assert_same_weights(resumed, whole)


@pytest.mark.long
def test_data_that_does_not_come_again_as_it_was_is_told(tmp_path, monkeypatch, said):
    def go(**more):
        data = Rows(np.random.default_rng())  # seeded by nobody
        train(model=make(), data=data, epochs=4, directory=tmp_path / "a", **more)

    stopped(monkeypatch, 4, go)
    go(resume=True)
    assert any("the data does not come as it did: epoch 2" in line for line in said)


@pytest.mark.long
def test_the_same_model_goes_on_in_the_same_process(tmp_path, monkeypatch):
    # Keras has counted the names of its layers on in between: dense, dense_1.
    def go(**more):
        model = unnamed()
        train(model=model, data=(X, Y), epochs=2, out=tmp_path, **more)
        return model.layers[0].name

    stopped(monkeypatch, 2, go)
    assert go(resume=True) != unnamed().layers[0].name
    (run,) = tmp_path.iterdir()
    assert Run(run).status["state"] == "done"


def unnamed():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.long
def test_a_directory_is_gone_on_with_by_the_same_alone(tmp_path, said):
    def go(model=None, data=(X, Y), **more):
        return train(model=model or make(), data=data, directory=tmp_path / "a", **more)

    go(epochs=1)
    with pytest.raises(ConfigError, match="holds a run already"):
        go(epochs=2)
    with pytest.raises(ConfigError, match="layers had 5 items, and has 2 now"):
        go(unnamed(), epochs=2, resume=True)
    with pytest.raises(ConfigError, match="train x has other values"):
        go(data=(X + 1, Y), epochs=2, resume=True)
    run = go(make(optimizer=keras.optimizers.Adam(0.5)), epochs=2, resume=True)
    assert any("learning_rate was" in line for line in said)
    assert run.history["learning_rate"] == pytest.approx([0.01, 0.01])
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("")
    with pytest.raises(ConfigError, match="holds no run"):
        train(model=make(), data=(X, Y), directory=tmp_path / "notes")


@pytest.mark.long
def test_other_callbacks_than_a_run_began_with_are_refused(tmp_path, said):
    """Their arguments may be others: the checkpoint has a state for each of them."""
    stop, plateau = keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau

    def go(*callbacks, model=None, **more):
        more |= {"callbacks": callbacks, "directory": tmp_path / "a"}
        return train(model=model or make(), data=(X, Y), **more)

    go(stop("loss"), epochs=1)
    again = {"epochs": 2, "resume": True}
    with pytest.raises(ConfigError, match="callbacks had 1 items, and has 0 now"):
        go(**again)
    with pytest.raises(ConfigError, match="callbacks had 1 items, and has 2 now"):
        go(stop("loss"), plateau("loss"), **again)
    with pytest.raises(ConfigError, match=r"callbacks\[0\].object was .*EarlyStopping"):
        go(plateau("loss"), **again)
    with pytest.raises(ConfigError, match=r"optimizer.object was .*Adam"):
        go(stop("loss"), model=make(optimizer="sgd"), **again)
    run = go(stop("loss", patience=7), **again)
    assert any("patience was 0, and is 7 now" in line for line in said)
    assert len(run.history["loss"]) == 2


HERE = pathlib.Path(__file__).parent
SCRIPT = f"""
import sys, keras, numpy as np
sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent)!r}]
from test_own_model import DATA, make, options
from keras_dlparts import train
from keras_dlparts.training.log import RunLog

name, folder = sys.argv[1:]
end = RunLog.on_train_batch_end

def told(self, batch, logs=None):
    end(self, batch, logs)
    print("step", self.epoch, batch, flush=True)

RunLog.on_train_batch_end = told
train(
    {{"fit": {{"checkpoint_every": 1}}}}, model=make(), data=DATA[name](), epochs=3,
    directory=folder, resume=True, **options(name),
)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "arrays",
        *(
            pytest.param(name, marks=pytest.mark.study)
            for name in ("PyDataset", "tf.data", "DataLoader")
        ),
    ],
)
def test_killed_it_ends_as_if_never_killed(name, tmp_path):
    """`kill -9` of a real process, in two of its epochs."""
    if name in ("tf.data", "DataLoader"):
        DATA[name]()  # skips where the library is not there
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def started(folder):
        return subprocess.Popen(
            [sys.executable, script, name, tmp_path / folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ,
        )

    whole = started("whole")
    _, errors = whole.communicate(timeout=300)
    assert whole.returncode == 0, errors
    for epoch in (0, 2):
        process = started("killed")
        for line in process.stdout:
            if line.split()[:3] == ["step", str(epoch), "1"]:
                break
        processes.kill(process)
        process.communicate()
        assert process.returncode == -9
        assert Run(tmp_path / "killed").status["state"] == "running"
    last = started("killed")
    _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors
    one, other = Run(tmp_path / "whole"), Run(tmp_path / "killed")
    assert history(one) == history(other)
    assert_same_weights(one, other)


def test_a_nan_names_the_layer(tmp_path):
    layers = [keras.layers.Rescaling(1e30, name=name) for name in ("fine", "too_much")]
    model = keras.Sequential([keras.Input((4,)), *layers, keras.layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(NonFiniteError, match="output of layer 'too_much'"):
        train(model=model, data=(X, Y), directory=tmp_path / "a")
    assert "too_much" in (tmp_path / "a" / "report.html").read_text()


def test_a_nan_in_data_that_is_passed_through_is_found(tmp_path):
    def batches():
        bad = X[32:64].copy()
        bad[3] = np.nan
        return iter([(X[:32], Y[:32]), (bad, Y[32:64])])

    with pytest.raises(
        NonFiniteError, match=r"step 2\. What first went bad: the input"
    ):
        train(model=unnamed(), data=batches, out=tmp_path)


@pytest.mark.long
def test_many_steps_a_call_and_the_model_is_given_back(tmp_path, monkeypatch):
    calls = []
    model = make()
    prepared = chunks.prepared
    monkeypatch.setattr(
        chunks,
        "prepared",
        lambda model, batches, steps: (
            calls.append(steps) or prepared(model, batches, steps)
        ),
    )
    train(model=model, data=(X, Y), epochs=1, out=tmp_path)
    wanted = 1 if keras.backend.backend() == "torch" else 3
    assert calls == [wanted]
    assert model.steps_per_execution == 1
    model.fit(X, Y, batch_size=10, verbose=0)  # as it was, with other batches
    if keras.backend.backend() == "torch":
        return  # it takes one step a call
    kept = make(steps_per_execution=2)
    train(model=kept, data=(X, Y), epochs=1, out=tmp_path)
    assert calls[1] == 2
    assert kept.steps_per_execution == 2


def test_weights_of_samples_count(tmp_path):
    weight = np.where(np.arange(96) < 48, 2.0, 0.0).astype("float32")
    ours, theirs = unnamed(), unnamed()
    theirs.set_weights(ours.get_weights())
    train(model=ours, data=(X, Y, weight), batch_size=96, epochs=2, out=tmp_path)
    theirs.fit(X, Y, 96, 2, sample_weight=weight, verbose=0, shuffle=False)
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=1e-6)


@pytest.mark.long
def test_several_inputs_and_outputs(tmp_path):
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    first = keras.layers.Dense(1, name="first")(a)
    model = keras.Model([a, b], [first, keras.layers.Dense(1, name="second")(b)])
    model.compile("sgd", ["mse", "mse"])
    y = X[:, :1]
    for x in ([X[:, :2], X[:, 2:]], {"a": X[:, :2], "b": X[:, 2:]}):
        run = train(model=model, data=(x, [y, y]), epochs=1, out=tmp_path)
        assert run.status["state"] == "done"
        assert run.config["data"]["y"] == ["float32 [1]", "float32 [1]"]


def test_tables_of_pandas_are_arrays(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X)
    run = train(model=unnamed(), data=(frame, pandas.Series(Y)), epochs=1, out=tmp_path)
    assert run.config["data"]["x"] == "float32 [4]"


@keras.saving.register_keras_serializable("test_own_model")
class Net(keras.Model):
    """A class of one's own, with an argument and `get_config`."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units)

    def call(self, x):
        return self.dense(x)

    def get_config(self):
        return super().get_config() | {"units": self.units}


class Bare(keras.Model):
    """One that cannot be written down: it has no `get_config`."""

    def __init__(self, function):
        super().__init__()
        self.function, self.dense = function, keras.layers.Dense(2)

    def call(self, x):
        return self.dense(self.function(x))


class Unknown(Net):
    """One that Keras does not know."""


def compiled(model):
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_a_class_of_ones_own(tmp_path, said):
    run = train(model=compiled(Net(2)), data=(X, Y), epochs=1, out=tmp_path)
    assert run.config["model"]["object"] == "test_own_model.Net"
    assert run.model.units == 2
    assert not any("registered" in line for line in said)


def test_a_class_that_keras_does_not_know_is_told(tmp_path, said):
    run = train(model=compiled(Unknown(2)), data=(X, Y), epochs=1, out=tmp_path)
    assert any("not registered with Keras: Unknown" in line for line in said)
    with pytest.raises(ValueError, match="Unknown"):
        Run(run.path).model  # noqa: B018
    with keras.saving.custom_object_scope({"Unknown": Unknown}):
        assert run.model.units == 2


def test_a_class_without_get_config_keeps_its_weights(tmp_path, said):
    model = compiled(Bare(lambda x: x))
    run = train(model=model, data=(X, Y), epochs=1, out=tmp_path)
    assert any("kept as weights only" in line for line in said)
    assert "get_config" in run.config["model"]["note"]
    again = compiled(Bare(lambda x: x))
    again(X[:1])
    again.load_weights(run.path / "last.weights.h5")
    for a, b in zip(model.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    with pytest.raises(FileNotFoundError, match="load_weights"):
        run.model  # noqa: B018


@pytest.mark.long
def test_a_function_makes_the_model(tmp_path):
    runs = [
        train({"seed": 4}, model=unnamed, data=(X, Y), epochs=1, out=tmp_path)
        for _ in range(2)
    ]
    assert_same_weights(*runs)


@pytest.mark.long
def test_objects_stand_where_parts_stand(tmp_path):
    def mean_error(y, p):
        return keras.ops.mean(keras.ops.abs(y - p), axis=-1)

    config = {
        "data": (X, X[:, :1]),
        "model": [
            keras.layers.Dense(8, activation="relu", name="first"),
            {"use": "Residual", "body": keras.layers.Dense(8, name="branch")},
            {"use": "Dense", "units": 1,
             "kernel_initializer": keras.initializers.HeNormal(seed=1)},
        ],
        "optimizer": {
            "use": "Clipped",
            "optimizer": keras.optimizers.SGD(0.1),
            "by": {"use": "FixedNorm", "threshold": 1.0},
        },
        "loss": keras.losses.MeanSquaredError(),
        "metrics": [mean_error, keras.metrics.RootMeanSquaredError(), "mae"],
        "callbacks": [GradientFlow(every=2), {"use": "TerminateOnNaN"}],
        "fit": {"epochs": 1},
    }  # fmt: skip
    run = train(config, out=tmp_path)
    assert {"mean_error", "root_mean_squared_error"} <= set(run.history)
    said = yaml.safe_load((run.path / "resolved.yaml").read_text())
    assert said["model"][0]["object"] == "keras.Dense"
    assert said["model"][1]["body"]["config"]["name"] == "branch"
    assert said["loss"]["object"] == "keras.MeanSquaredError"
    assert "mean_error" in said["metrics"][0]["object"]
    assert said["callbacks"][0]["object"] == "dlparts.GradientFlow"
    assert "gradient" in (run.path / "report.html").read_text().lower()


def test_build_takes_a_model_beside_a_config():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    built = build({"loss": "mse", "optimizer": "sgd"}, model=model)
    assert built is model
    assert isinstance(built.optimizer, keras.optimizers.SGD)


def test_a_layer_learns_from_data_that_is_passed_through(tmp_path):
    layer = keras.layers.Normalization()
    config = {"model": [layer, {"use": "Dense", "units": 2}], "fit": {"epochs": 1}}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    batches = [(X[i : i + 32], Y[i : i + 32]) for i in (0, 32, 64)]
    train(config | {"loss": loss}, data=batches, out=tmp_path)
    mean = keras.ops.convert_to_numpy(layer.mean)
    np.testing.assert_allclose(mean[0], X.mean(axis=0), atol=1e-6)


class Halved(Net):
    """A model with a training step of its own."""

    def train_step(self, *given):
        return super().train_step(*given)


def test_a_training_step_of_ones_own(tmp_path):
    model = compiled(Halved(2))
    with pytest.raises(ConfigError, match="must be built before"):
        train(model=model, data=(X, Y), out=tmp_path)
    model(X[:2])
    run = train(model=model, data=(X, Y), epochs=1, out=tmp_path)
    assert np.isfinite(run.history["loss"]).all()


@pytest.mark.long
def test_what_is_shared_among_devices_is_made_for_them(tmp_path):
    use = {"tensorflow": "mirrored", "jax": "jax_data_parallel"}
    if keras.backend.backend() not in use:
        pytest.skip("PyTorch has no strategy")
    config = {"distribute": {"use": use[keras.backend.backend()], "devices": 2}}
    with pytest.raises(ConfigError, match="model\n  it was made before the devices"):
        train(config, model=unnamed(), data=(X, Y), out=tmp_path)
    with pytest.raises(ConfigError, match="cut out of arrays"):
        train(config, model=unnamed, data=Rows(), out=tmp_path)
    runs = [
        train(config, model=unnamed, data=(X, Y), epochs=2, out=tmp_path)
        for config in (config, {})
    ]
    for a, b in zip(*map(weights, runs), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_several_workers_are_no_surprise(tmp_path):
    if keras.backend.backend() == "torch":
        pytest.skip("PyTorch has no strategy")
    config = {"distribute": {"use": "multi_worker", "workers": 2}}
    with pytest.raises(ConfigError, match="model\n  it was made before the devices"):
        train(config, model=unnamed(), data=(X, Y), out=tmp_path)
    with pytest.raises(ConfigError, match="must be told who the workers are"):
        train(config, model=unnamed, data=(X, Y), out=tmp_path)


ONE_EPOCH = {"epochs": 1}
BAD = {
    "no data": (lambda: {"model": make()}, "`data:` is missing"),
    "neither": (lambda: {"data": (X, Y)}, "needs a config, or a compiled"),
    "not compiled": (
        lambda: {
            "model": keras.Sequential([keras.layers.Dense(2)]),
            "data": (X, Y),
        },
        "model\n  it is not compiled",
    ),
    "two models": (
        lambda: {"config": {"model": ["Flatten"]}, "model": make(), "data": (X, Y)},
        "model\n  it is given twice",
    ),
    "two data": (
        lambda: {"config": {"data": "digits"}, "model": make(), "data": (X, Y)},
        "data\n  it is given twice",
    ),
    "lengths": (
        lambda: {"model": make(), "data": (X, Y[:5])},
        "96 in x and 5 in y",
    ),
    "shapes": (
        lambda: {"model": make(), "data": (X[:, :3], Y)},
        "model\n  does not fit the data",
    ),
    "labels": (
        lambda: {"model": make(), "data": (X, Y + 1)},
        "label 2, but the model ends in 2",
    ),
    "read once": (
        lambda: {"model": make(), "data": iter([(X, Y)])},
        "list_iterator, which can be read once",
    ),
    "a generator": (
        lambda: {"model": make(), "data": ((X, Y) for _ in range(2))},
        "generator, which can be read once",
    ),
    "no data at all": (lambda: {"model": make(), "data": 3}, "Data is arrays"),
    "batch size of batches": (
        lambda: {"model": make(), "data": Rows(), "batch_size": 5},
        "`batch_size` is for arrays",
    ),
    "loss twice": (
        lambda: {"config": {"loss": "mse"}, "model": make(), "data": (X, Y)},
        "loss\n  the model is compiled, and brings its own",
    ),
    "a loss as a layer": (
        lambda: {
            "config": {"model": [keras.losses.MeanSquaredError()], "loss": "mse"},
            "data": (X, Y),
        },
        r"model\[0\]\n  a layer is expected",
    ),
    "a layer as a model": (
        lambda: {"model": keras.layers.Dense(2), "data": (X, Y)},
        "Received: keras.Dense",
    ),
    "a function of no model": (
        lambda: {"model": lambda: 3, "data": (X, Y)},
        "must return a `keras.Model`. Received: int",
    ),
    "two validations": (
        lambda: {
            "model": make(),
            "data": (X, Y),
            "validation_data": (X, Y),
            "validation_split": 0.1,
        },
        "data\n.*given, or cut off",
    ),
    "two weights": (
        lambda: {
            "model": make(),
            "data": (X, Y, X[:, 0]),
            "class_weight": {0: 1.0, 1: 2.0},
        },
        "fit.class_weight\n  the data has sample weights",
    ),
    "an optimizer as an argument": (
        lambda: {
            "config": {
                "model": [
                    {"use": "Dense", "units": 2, "bias_regularizer": make().optimizer}
                ],
                "loss": "mse",
            },
            "data": (X, Y),
        },
        r"bias_regularizer\n.*Received: keras.Adam",
    ),
    "batch size without data": (
        lambda: {"config": {"model": ["Flatten"]}, "batch_size": 3},
        "`batch_size` is about `data=`",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told(name, tmp_path):
    given, message = BAD[name]
    with pytest.raises((ConfigError, TypeError), match=message):
        train(**ONE_EPOCH | given(), out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_search_takes_no_objects(tmp_path):
    pytest.importorskip("keras_tuner")
    from keras_dlparts import search

    layer = keras.layers.Dense(2)
    units = {"use": "Dense", "units": {"search": "int", "min": 1, "max": 2}}
    config = {"data": (X, X[:, :2]), "model": [units, layer], "loss": "mse"}
    with pytest.raises(ConfigError, match=r"makes models again(.|\n)*keras\.Dense"):
        search(config, out=tmp_path)


@pytest.mark.long
def test_what_is_saved_loads(run):
    model = load_model(run.path / "last.keras")
    for a, b in zip(weights(run), model.weights, strict=True):
        np.testing.assert_array_equal(a, b.numpy())
