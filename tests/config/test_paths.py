"""Paths in a config: relative to its file, and whole in the run that comes of it."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

import keras_dlparts
from keras_dlparts import training
from keras_dlparts.config.annotations import of_annotation, of_source
from keras_dlparts.config.document import Document
from keras_dlparts.config.errors import ConfigError
from keras_dlparts.config.experiment import load, opened, settled
from keras_dlparts.config.parts import _checked

CONFIG = """
data: {use: npz, path: data/numbers.npz, batch_size: 8}
model: [{use: Dense, units: 1}]
loss: mse
fit: {epochs: 1}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A config and its data in a folder that is not the working directory."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    x = np.arange(64, dtype="float32").reshape(32, 2)
    np.savez(folder / "data/numbers.npz", x_train=x, y_train=x[:, 0])
    (folder / "config.yaml").write_text(CONFIG)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    return folder


def path_of(experiment):
    return experiment.data.arguments["path"]


def test_relative_to_the_file(project):
    whole = str(project / "data/numbers.npz")
    for given in (project / "config.yaml", "../project/config.yaml"):
        experiment = load(given)
        assert os.path.samefile(path_of(experiment), whole)
        assert os.path.isabs(path_of(experiment))
        resolved = experiment.resolved()["data"]["path"]
        assert (
            resolved
            == path_of(experiment)
            == experiment.document.values["data"]["path"]
        )
    os.chdir(project)
    assert path_of(load("config.yaml")) == whole


def test_of_a_dict_relative_to_the_working_directory(project):
    config = yaml.safe_load(CONFIG)
    assert path_of(load(config)) == str(Path("data/numbers.npz").absolute())
    assert config == yaml.safe_load(CONFIG)
    document, given = opened(config, folder=project)
    assert path_of(settled(document, given)) == str(project / "data/numbers.npz")


@pytest.mark.parametrize("text", ["/data/a.npz", "s3://data/a.npz", ""])
def test_what_is_no_relative_path_stays(project, text):
    sets = [f"data.path={text or repr(text)}", "data.use=npz"]
    document, given = opened(project / "config.yaml", sets)
    if text:
        assert path_of(settled(document, given)) == text
    else:
        with pytest.raises(ConfigError):  # and not the folder of the config
            keras_dlparts.build(project / "config.yaml", sets)


def test_home(project, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    found = load(project / "config.yaml", ["data.path=~/a.npz"])
    assert path_of(found) == "/home/me/a.npz"


def test_one_that_is_relative_to_the_working_directory_is_told(project):
    shutil.copytree(project / "data", "data")
    shutil.rmtree(project / "data")
    with pytest.raises(ConfigError) as error:
        load(project / "config.yaml")
    (problem,) = error.value.problems
    assert problem.place == f"{project}/config.yaml:2:24"
    assert problem.path == "data.path"
    assert f"there is no {project}/data/numbers.npz. Received:" in problem.message
    nearer = "../elsewhere/data/numbers.npz"
    assert problem.message.endswith(f"Write {nearer!r}, or the whole path")
    assert load(project / "config.yaml", [f"data.path={nearer}"])
    (project / "resolved.yaml").write_text("")
    with pytest.raises(ConfigError, match=r"; resolved.yaml, beside this copy of the"):
        load(project / "config.yaml")


def test_searched_values_are_paths_too(project):
    spec = "data.path={search: choice, values: [a.npz, b.npz]}"
    document, given = opened(project / "config.yaml", [spec])
    found = settled(document, given, lambda name, spec: spec["values"][1])
    assert path_of(found) == str(project / "b.npz")
    assert document.values["data"]["path"]["values"] == ["a.npz", "b.npz"]


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Path, "Path"),
        (Path, "pathlib.Path"),
        (str | os.PathLike, "str | os.PathLike"),
        (os.PathLike[str] | None, "os.PathLike[str] | None"),
    ],
)
def test_the_annotation_says_which_arguments_are_paths(annotation, text):
    for found in (of_annotation(annotation, "os"), of_source(text, "os")):
        assert found.path
        assert found.fault("a.npz") is None
        assert found.fault(1)
    assert not of_annotation(str, "os").path
    assert of_annotation(list[annotation], "os").items.path


def test_a_list_of_paths():
    document = Document({"data": {"files": ["a", "/b"]}}, folder="/somewhere")
    taken = of_annotation(list[str | os.PathLike], "os")
    found = _checked(document, ["a", "/b"], taken, ("data", "files"))
    assert found == ["/somewhere/a", "/b"]


@pytest.mark.long
def test_a_run_that_was_moved_evaluates_and_resumes(project, tmp_path, monkeypatch):
    config = project / "config.yaml"
    run = keras_dlparts.train(config, out=project / "runs", verbose=0)
    noted = run.config["data"]["path"]
    assert noted == str(project / "data/numbers.npz")
    before = training.evaluate(run.path, "train")
    (tmp_path / "far").mkdir()
    moved = shutil.move(run.path, tmp_path / "far" / run.path.name)
    monkeypatch.chdir("/")
    assert training.evaluate(moved, "train") == before
    assert training.write_report(moved).is_file()
    out = tmp_path / "far"
    longer = keras_dlparts.train(config, out=out, resume=True, epochs=2, verbose=0)
    assert (longer.path, len(longer.history["loss"])) == (Path(moved), 2)
    # A run from before this rule noted the path as its config had it.
    resolved = Path(moved, "resolved.yaml")
    resolved.write_text(resolved.read_text().replace(noted, "data/numbers.npz"))
    monkeypatch.chdir(project)
    assert training.evaluate(moved, "train").keys() == before.keys()


@pytest.mark.study
def test_the_workers_of_a_search_find_the_data(project, tmp_path):
    sets = [
        "optimizer={use: SGD, learning_rate: {search: float, min: 1e-5, max: 1e-4}}"
    ]
    options = {"trials": 1, "isolate": True, "objective": "loss", "verbose": 0}
    found = keras_dlparts.search(
        project / "config.yaml", sets, tmp_path / "s", **options
    )
    whole = str(project / "data/numbers.npz")
    for name in ("resolved.yaml", "config.yaml"):
        written = yaml.safe_load((found.best.path / name).read_text())
        assert written["data"]["path"] == whole
    assert json.loads((tmp_path / "s/search.json").read_text())["relative_to"] == str(
        project
    )
