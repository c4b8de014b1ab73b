"""Strategies by name: what is taken, what is refused, what `auto` picks."""

import contextlib
import subprocess
import sys

import pytest

from keras_dlparts import backend, distribute


def test_the_package_imports_no_backend():
    code = "import sys, keras_dlparts.distribute; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_none_is_one_device_and_its_scope_does_nothing():
    one = distribute.strategy("none")
    with one.scope():
        pass
    assert distribute.replicas(one) == 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mirored", {}, "`name` must be one of 'auto', .*Received: 'mirored'"),
        (
            "none",
            {"devices": 2},
            r"'none' takes the options \(none\). Received: devices",
        ),
        ("auto", {"devices": 2}, "'auto' takes no options.*Received: devices"),
    ],
)
def test_bad_names_and_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        distribute.strategy(name, **options)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("mirrored", "tensorflow"), ("tpu", "tensorflow"), ("jax_data_parallel", "jax")],
)
def test_other_backends_are_refused(name, wanted, monkeypatch):
    monkeypatch.setattr(backend, "name", lambda: "torch")
    message = f"'{name}' needs the backend {wanted}. Received: torch"
    with pytest.raises(ValueError, match=message):
        distribute.strategy(name)


@pytest.mark.parametrize(
    ("running", "devices", "variables", "picked", "why"),
    [
        ("tensorflow", [], {}, "none", "no accelerator"),
        ("tensorflow", ["GPU:0"], {}, "none", "one accelerator, GPU:0"),
        ("tensorflow", ["GPU:0", "GPU:1"], {}, "mirrored", "2 GPUs"),
        ("tensorflow", [], {"TPU_NAME": "far"}, "tpu", "TPU_NAME is far"),
        ("jax", ["a", "b"], {"TPU_NAME": "far"}, "jax_data_parallel", "2 devices"),
        ("jax", ["a"], {}, "none", "one accelerator, a"),
        ("torch", ["a", "b"], {}, "none", "PyTorch"),
        (
            "tensorflow",
            ["GPU:0", "GPU:1"],
            {"TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:2"]}}'},
            "multi_worker",
            "2 workers",
        ),
        ("jax", [], {"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, "none", "no"),
    ],
)
def test_auto_picks_what_there_is(
    running, devices, variables, picked, why, monkeypatch
):
    for name in ("TF_CONFIG", "TPU_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(backend, "name", lambda: running)
    monkeypatch.setattr(backend, "accelerators", lambda: devices)
    name, said = distribute.pick()
    assert name == picked
    assert why in said


def test_auto_says_what_it_picked(monkeypatch, said):
    monkeypatch.setattr(distribute, "pick", lambda: ("none", "a reason"))
    distribute.strategy()
    assert said == ["distribute: auto is none: a reason"]


def test_options_are_the_signatures():
    assert distribute.options("tpu") == {"tpu": "''", "zone": "None", "project": "None"}
    assert distribute.options("none") == distribute.options("auto") == {}


@pytest.mark.skipif(backend.name() != "tensorflow", reason="of tf.distribute")
def test_a_process_has_one_strategy_of_the_same_devices():
    one, other = (distribute.strategy("mirrored", devices=2) for _ in range(2))
    assert one is other


def test_absent_devices_are_told():
    name = {"tensorflow": "mirrored", "jax": "jax_data_parallel"}.get(backend.name())
    if name is None:
        with contextlib.suppress(ValueError):
            distribute.strategy("mirrored")
        return
    import keras

    keras.ops.ones(1)  # the backend has started, so the processor stays whole
    with pytest.raises(ValueError, match=r"fewer devices\. Received: devices=64"):
        distribute.strategy(name, devices=64)
    message = r"must list devices that are there, .* Received: \['gpu:9'\]; there are: "
    for wrong in (["gpu:9"],):
        with pytest.raises(ValueError, match=message):
            distribute.strategy(name, devices=wrong)
    with pytest.raises(ValueError, match="each once"):
        distribute.strategy(name, devices=["cpu:0", "CPU:0"])
    with pytest.raises(ValueError, match="`devices` must be at least 1"):
        distribute.strategy(name, devices=0)
    with pytest.raises(TypeError, match="`devices` must be an integer"):
        distribute.strategy(name, devices="two")
