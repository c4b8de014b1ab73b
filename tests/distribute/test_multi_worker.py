"""Several real processes on the loopback address train as one does.

Run as a program, this file is one of the workers.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from keras_dlparts.distribute import cluster, multi_worker, remedy

ROOT = Path(__file__).resolve().parents[2]
SAMPLES, BATCH = 78, 12  # the last batch is half a one
EPOCHS = 2


def environment(index, count, ports):
    """The environment of one worker, with TF_CONFIG where there are several."""
    environ = {k: v for k, v in os.environ.items() if k != "TF_CONFIG"}
    environ |= {"TF_CPP_MIN_LOG_LEVEL": "2", "OMP_NUM_THREADS": "1"}
    if count > 1:
        workers = [f"127.0.0.1:{port}" for port in ports]
        task = {"type": "worker", "index": index}
        told = {"cluster": {"worker": workers}, "task": task}
        environ["TF_CONFIG"] = json.dumps(told)
    return environ


def free_ports(count):
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in taken:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in taken]


def several(scenario, count, folder, backend="tensorflow"):
    """Run a scenario in so many processes: [{name: array}], one for each."""
    folder.mkdir()
    ports = free_ports(count)
    logs = [folder / f"{i}.log" for i in range(count)]
    started = []
    for i, log in enumerate(logs):
        with log.open("wb") as file:
            command = [sys.executable, __file__, scenario, str(folder / f"{i}.npz")]
            environ = {**environment(i, count, ports), "KERAS_BACKEND": backend}
            started.append(
                subprocess.Popen(command, stdout=file, stderr=file, env=environ)
            )
    try:
        codes = [process.wait(timeout=240) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert codes == [0] * count, "\n\n".join(log.read_text()[-3000:] for log in logs)
    return [dict(np.load(folder / f"{i}.npz")) for i in range(count)]


# --- what the workers do ------------------------------------------------------------


def setting():
    """(strategy or None, its scope)."""
    if not os.environ.get("TF_CONFIG"):
        return None, contextlib.nullcontext()
    strategy = multi_worker.strategy()
    return strategy, strategy.scope()


def data():
    from keras_dlparts.data.batches import Batches

    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, 6)).astype("float32")
    y = rng.integers(0, 3, SAMPLES)
    train = Batches(x, y, BATCH, shuffle=True, seed=3)
    return train, Batches(x[:20], y[:20], BATCH)


def model(*extra):
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    made = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(16, activation="tanh"),
            *extra,
            layers.Dense(3, kernel_regularizer="l2"),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    return made


def trained(strategy, made):
    import keras

    from keras_dlparts.distribute.shares import share

    class Epoch(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            train.epoch = epoch

    train, validation = data()
    given, looked_at = train, validation
    if strategy is not None:
        given = share(train, strategy)
        looked_at = share(validation, strategy, even=False)
    history = made.fit(
        given,
        validation_data=looked_at,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[Epoch()],
    ).history
    return history | made.evaluate(looked_at, verbose=0, return_dict=True)


def as_one():
    """Training, validation, evaluation and prediction, all without randomness."""
    import keras

    from keras_dlparts.backend import feeding
    from keras_dlparts.data.batches import Batches
    from keras_dlparts.distribute.shares import share

    strategy, scope = setting()
    with scope:
        made = model()
        found = trained(strategy, made)
        x = np.linspace(-1, 1, 24 * 6, dtype="float32").reshape(24, 6)
        given = x
        if strategy is not None and keras.backend.backend() == "jax":
            given = share(Batches(x, batch_size=BATCH), strategy)
        found["predicted"] = made.predict(given, batch_size=BATCH, verbose=0)
        # Of plain arrays JAX' predict would take each process' for a part.
        found["outputs"] = feeding.outputs(made, x, BATCH)
    weights = {f"weight_{i}": w for i, w in enumerate(made.get_weights())}
    return found | weights


def local_replicas():
    """Training on two replicas of one process, each with its part of a batch."""
    import tensorflow as tf

    processor = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(processor, two)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        made = model()
        found = trained(strategy, made)
    weights = {f"weight_{i}": w for i, w in enumerate(made.get_weights())}
    return found | weights


def masks():
    """What a random layer drops in a training step of each replica."""
    import keras

    from keras_dlparts.distribute import messages
    from keras_dlparts.layers import RandomDropout

    strategy, scope = setting()
    with scope:
        layer = RandomDropout(0.9, seed=5)
        made = model(layer)
        found = trained(strategy, made)
        if keras.backend.backend() == "tensorflow":

            def step():
                return layer(np.ones((4, 8), "float32"), training=True)

            found["mask"] = (
                np.asarray(step())
                if strategy is None
                else np.asarray(
                    strategy.experimental_local_results(strategy.run(step))[0]
                )
            )
        found["place"] = np.array(messages.place(strategy))
        arrays = {"x": np.arange(3.0), "raw": np.ones(2, "V2")}
        sent = messages.from_chief(strategy, lambda: ({"a": [1, None]}, arrays))
        assert sent[0] == {"a": [1, None]}
        assert sent[1]["raw"].dtype == "V2"
        found["sent"] = sent[1]["x"]
        assert messages.from_chief(strategy, lambda: None) is None
        messages._WORDS_A_MESSAGE = 100  # many messages
        long = {"long": np.arange(1001, dtype="int16")}
        sent = messages.from_chief(strategy, lambda: (None, long))
        np.testing.assert_array_equal(sent[1]["long"], long["long"])
    weights = {f"weight_{i}": w for i, w in enumerate(made.get_weights())}
    return found | weights


def page():
    """The example of docs/several_machines.md."""
    text = (ROOT / "docs/several_machines.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    made = {}
    exec(code, made)
    return {f"weight_{i}": w for i, w in enumerate(made["model"].get_weights())}


def failing(work):
    """Whether something does not go with Keras as it is."""
    try:
        work()
    except Exception as error:
        print(f"{type(error).__name__}: {str(error)[:300]}")
        return True
    return False


def stock():
    """Which of the remedy's parts Keras still needs."""
    import keras

    if keras.backend.backend() == "jax":
        return _stock_jax()
    from keras.src.backend.tensorflow import trainer

    plain = trainer.TensorFlowTrainer._maybe_symbolic_build, trainer.reduce_per_replica
    strategy, scope = setting()
    mended = trainer.TensorFlowTrainer._maybe_symbolic_build, trainer.reduce_per_replica

    def fails(build, reduce):
        trainer.TensorFlowTrainer._maybe_symbolic_build = build
        trainer.reduce_per_replica = reduce
        return failing(lambda: trained(strategy, model()))

    with scope:
        return {
            "build": fails(plain[0], mended[1]),
            "reduce": fails(mended[0], plain[1]),
            "mended": fails(*mended),
        }


def _stock_jax():
    from keras.src.backend.jax import trainer

    from keras_dlparts.data.batches import Batches
    from keras_dlparts.distribute.shares import share

    plain = trainer.JAXTrainer.predict_step
    strategy, scope = setting()
    mended = trainer.JAXTrainer.predict_step
    x = np.ones((24, 6), "float32")

    def fails(predict_step):
        trainer.JAXTrainer.predict_step = predict_step
        given = share(Batches(x, batch_size=BATCH), strategy)
        return failing(lambda: model().predict(given, verbose=0))

    with scope:
        return {"predict": fails(plain), "mended": fails(mended)}


# --- the tests ----------------------------------------------------------------------


def assert_close(one, other, names=None):
    assert one.keys() == other.keys()
    for name in names or one:
        np.testing.assert_allclose(one[name], other[name], atol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "count"),
    [
        pytest.param("tensorflow", 2, marks=pytest.mark.study),
        pytest.param("tensorflow", 3, marks=pytest.mark.study),
        ("jax", 2),
    ],
)
def test_several_workers_train_as_one(backend, count, tmp_path):
    (alone,) = several("as_one", 1, tmp_path / "one", backend)
    workers = several("as_one", count, tmp_path / "several", backend)
    for worker in workers:
        for name in workers[0]:
            np.testing.assert_array_equal(worker[name], workers[0][name], err_msg=name)
    assert_close(workers[0], alone)


@pytest.mark.study
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_random_layers_differ_between_workers(backend, tmp_path):
    one, other = several("masks", 2, tmp_path / "several", backend)
    assert one["place"].tolist() == [0, 2]
    assert other["place"].tolist() == [1, 2]
    for worker in (one, other):
        np.testing.assert_array_equal(worker["sent"], [0, 1, 2])
    if backend == "tensorflow":
        assert (one.pop("mask") != other.pop("mask")).any()
    else:  # JAX' step is one program over all workers: random draws included
        (alone,) = several("masks", 1, tmp_path / "one", backend)
        assert_close(one, alone, [name for name in one if name != "place"])
    for name in one.keys() - {"place"}:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.study
@pytest.mark.parametrize(
    ("backend", "needed"),
    [("tensorflow", {"build", "reduce"}), ("jax", {"predict"})],
)
def test_keras_still_needs_the_remedy(backend, needed, tmp_path):
    """Where this fails Keras has mended itself: that part of the remedy can go."""
    for worker in several("stock", 2, tmp_path / "several", backend):
        assert {name for name, fails in worker.items() if fails} == needed


@pytest.mark.study
def test_a_workers_own_replicas_share_its_part(tmp_path):
    (alone,) = several("as_one", 1, tmp_path / "one")
    (two,) = several("local_replicas", 1, tmp_path / "two")
    del alone["predicted"], alone["outputs"]
    assert_close(two, alone)


@pytest.mark.study
def test_the_pages_example(tmp_path):
    one, other = several("page", 2, tmp_path / "several")
    assert len(one) == 2
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


def test_other_versions_of_keras_are_refused(monkeypatch):
    monkeypatch.setattr("keras.__version__", "3.16.0")
    with pytest.raises(
        ValueError, match=r"Received: Keras 3\.16\.0\. Install keras==3"
    ):
        remedy.apply()


def test_a_worker_must_be_told_of_the_others(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match=r"who the workers are.*--workers 2"):
        multi_worker.strategy()


def test_bad_options(monkeypatch):
    two = cluster.Cluster(("a:1", "b:2"), 0)
    monkeypatch.setattr(cluster, "find", lambda: two)
    with pytest.raises(ValueError, match="workers=3, and 2 in the environment"):
        multi_worker.strategy(workers=3)
    with pytest.raises(ValueError, match="`workers` must be at least 1"):
        multi_worker.strategy(workers=0)
    with pytest.raises(ValueError, match="`communication` must be one of"):
        multi_worker.strategy(communication="smoke")


if __name__ == "__main__":
    np.savez(sys.argv[2], **globals()[sys.argv[1]]())
