"""`load_model` loads what a `.keras` file needs, and runs nothing that it brings."""

import json
import pickle
import subprocess
import sys
import warnings
import zipfile

import keras
import numpy as np
import pytest

from keras_dlparts import load_model
from keras_dlparts.layers import RandomDropout


@keras.saving.register_keras_serializable("test_saving")
class Doubling(keras.layers.Layer):
    """A class of the user's own code: no entry point leads to it."""

    def call(self, inputs):
        return 2 * inputs


def net(*layers):
    return keras.Sequential([keras.Input((3,)), *layers, keras.layers.Dense(2)])


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A compiled model with a part of ours, fitted, and its file."""
    model = net(RandomDropout(0.5))
    model.compile(optimizer="adam", loss="mse", metrics=["mae"])
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    model.fit(x, x[:, :2], verbose=0)
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    model.save(path)
    return model, x, path


def edited(path, target, edit):
    """A copy of a `.keras` file whose config.json went through `edit`."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                data = json.dumps(edit(json.loads(data))).encode()
            new.writestr(name, data)
    return target


def first_part(config):
    """The entry of the RandomDropout in the saved model's config."""
    return config["config"]["layers"][1]


def test_a_compiled_model_loads_as_it_was(saved):
    model, x, path = saved
    loaded = load_model(str(path))
    np.testing.assert_array_equal(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0)
    )
    assert loaded.evaluate(x, x[:, :2], verbose=0) == pytest.approx(
        model.evaluate(x, x[:, :2], verbose=0)
    )
    for ours, theirs in zip(
        loaded.optimizer.variables, model.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_a_model_that_was_not_compiled_loads(tmp_path):
    net(RandomDropout(0.1)).save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert not loaded.compiled
    assert loaded.layers[0].rate == 0.1


def test_a_class_that_the_process_registered_loads(tmp_path):
    net(Doubling()).save(tmp_path / "model.keras")
    assert isinstance(load_model(tmp_path / "model.keras").layers[0], Doubling)


def test_parts_inside_parts_are_found(tmp_path):
    """Also in a wrapper; a custom object in an argument; a name used twice."""
    inner = keras.layers.TimeDistributed(RandomDropout(0.2))
    model = keras.Sequential([keras.Input((4, 3)), inner, RandomDropout(0.3)])
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert [loaded.layers[0].layer.rate, loaded.layers[1].rate] == [0.2, 0.3]


def refused(path, *told, error=ValueError):
    with pytest.raises(error) as caught:
        load_model(path)
    for text in (str(path), *told):
        assert text in str(caught.value)


def test_a_missing_file(tmp_path):
    refused(tmp_path / "none.keras", "There is no model", error=FileNotFoundError)


def test_h5_is_refused(saved, tmp_path):
    path = tmp_path / "model.h5"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved[0].save(path)
    refused(path, "pickles and SavedModels", "model.save('name.keras')")
    path.rename(tmp_path / "renamed.keras")
    refused(tmp_path / "renamed.keras", "pickles and SavedModels")


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("name", ["model.pkl", "model.keras"])
def test_a_pickle_is_refused_and_not_read(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    refused(tmp_path / name, "pickles and SavedModels")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["folder", "folder.keras"])
def test_a_folder_is_refused(saved, tmp_path, name):
    path = tmp_path / name
    path.mkdir()
    (path / "config.json").write_text("{}")
    refused(path, "SavedModels")


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch exports none")
def test_a_saved_model_is_refused(saved, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        saved[0].export(tmp_path / "exported", verbose=False)
    refused(tmp_path / "exported", "SavedModels")


def test_a_file_cut_short(saved, tmp_path):
    path = tmp_path / "cut.keras"
    whole = saved[2].read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path)


def test_a_file_with_flipped_bytes(saved, tmp_path):
    path = tmp_path / "flipped.keras"
    whole = bytearray(saved[2].read_bytes())
    for at in range(100, len(whole) // 2, 97):
        whole[at] ^= 0xFF
    path.write_bytes(whole)
    refused(path)


@pytest.mark.parametrize(
    "content",
    [None, "{", "\xff", "[]", "3", "{}", pytest.param("[" * 10**5, id="deep")],
)
def test_a_zip_that_is_no_model(tmp_path, content):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
        if content is not None:
            archive.writestr("config.json", content.encode("latin-1"))
    refused(path, "is damaged")


def test_a_file_without_its_end(saved, tmp_path):
    path = tmp_path / "cut.keras"
    saved[0].save(path)
    path.write_bytes(path.read_bytes()[:2000])
    refused(path, "is damaged: its end is missing")


def test_a_config_too_large(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", " " * (2**26 + 1) + "{}")
    refused(path, "is damaged")


def test_a_lambda_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    net(keras.layers.Lambda(lambda x: 2 * x)).save(path)
    refused(path, "safe_mode=False", "This is refused")


@pytest.mark.slow
def test_a_lambda_is_refused_though_keras_was_told_to_run_it(tmp_path):
    """In a process of its own: Keras has no way to take it back."""
    path = tmp_path / "model.keras"
    net(keras.layers.Lambda(lambda x: 2 * x)).save(path)
    code = (
        "import sys, keras, keras_dlparts\n"
        "keras.config.enable_unsafe_deserialization()\n"
        "keras.saving.load_model(sys.argv[1])\n"  # Keras runs it
        "try: keras_dlparts.load_model(sys.argv[1])\n"
        "except ValueError as error: print(error)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    assert "This is refused" in out.stdout


def test_a_saved_model_inside_is_refused(saved, tmp_path):
    def edit(config):
        first_part(config).update(
            module="keras.layers",
            class_name="TFSMLayer",
            registered_name=None,
            config={"filepath": str(tmp_path)},
        )
        return config

    refused(edited(saved[2], tmp_path / "model.keras", edit), "This is refused")


@keras.saving.register_keras_serializable("test_saving")
def halved(x):
    return x / 2


def test_registered_functions_load(tmp_path):
    model = net(keras.layers.Lambda(halved), keras.layers.Dense(2, activation=halved))
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert loaded.layers[1].activation is halved


def test_a_function_that_nobody_registered(tmp_path):
    path = tmp_path / "model.keras"
    net(keras.layers.Dense(2, activation=halved)).save(path)

    def edit(config):
        first_part(config)["config"]["activation"]["config"] = "acme>halved"
        return config

    path = edited(path, tmp_path / "edited.keras", edit)
    refused(path, "'acme>halved', which no installed plugin provides")


def test_an_error_of_a_constructor_is_told_without_the_whole_config(saved, tmp_path):
    def edit(config):
        first_part(config)["config"]["rate"] = 2
        return config

    path = edited(saved[2], tmp_path / "model.keras", edit)
    with pytest.raises(ValueError) as caught:
        load_model(path)
    assert str(caught.value) == (
        f"{path} cannot be loaded: `rate` must satisfy 0 <= rate < 1; at 1 nothing "
        "would be left. Received: rate=2"
    )


def test_a_part_that_nobody_provides(saved, tmp_path):
    def edit(config):
        first_part(config).update(
            registered_name="acme>Nowhere", class_name="Nowhere", module="acme_parts"
        )
        return config

    path = edited(saved[2], tmp_path / "model.keras", edit)
    refused(path, "'acme>Nowhere', which no installed plugin provides", "Install the")
    assert "acme_parts" not in sys.modules


@pytest.mark.parametrize("name", ["evil_module>Half", "Half", None])
def test_a_module_that_a_file_names_is_not_imported(saved, tmp_path, monkeypatch, name):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "evil_module.py").write_text(
        "import pathlib\n"
        f"pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
        "import keras\n"
        "class Half(keras.layers.Layer): pass\n"
    )

    def edit(config):
        first_part(config).update(
            registered_name=name, class_name="Half", module="evil_module"
        )
        return config

    path = edited(saved[2], tmp_path / "model.keras", edit)
    refused(path, "Half")
    assert not (tmp_path / "ran").exists()
    assert "evil_module" not in sys.modules
