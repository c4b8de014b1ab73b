"""Reports: on standard error, at the caller's word, and above a bar that is shown."""

import io

import keras
import numpy as np
import pytest
from rich.console import Console
from rich.errors import LiveError
from rich.progress import Progress

import keras_dlparts
from keras_dlparts import distribute
from keras_dlparts.searching import search
from keras_dlparts.support import progress
from keras_dlparts.training.progress import Progress as Training


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns in place of standard error; gives what it shows."""
    monkeypatch.setenv("TERM", "xterm")  # before the console, which looks at it once
    monkeypatch.delenv("CI", raising=False)
    screen = Console(force_terminal=True, width=80, file=io.StringIO())
    monkeypatch.setattr(progress, "console", lambda: screen)
    return lambda: screen.file.getvalue()


def test_news_go_to_standard_error_as_they_are(capfd):
    progress.news()("[bold]a line[/] of " + "words " * 40)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "[bold]a line[/] of " + "words " * 40 + "\n"


def test_a_bar_is_drawn_in_a_terminal_only(terminal, capfd, monkeypatch):
    assert [*progress.tracked("abc", "letters")] == ["a", "b", "c"]
    assert "letters" in terminal()
    assert "3/3" in terminal()
    monkeypatch.undo()
    assert [*progress.tracked("abc", "letters")] == ["a", "b", "c"]
    assert capfd.readouterr() == ("", "")


def test_with_verbose_0_there_is_no_bar(terminal):
    assert [*progress.tracked("abc", "letters", verbose=0)] == ["a", "b", "c"]
    assert terminal() == ""


def test_where_a_console_takes_one_bar_only_the_work_goes_on(terminal, monkeypatch):
    """As consoles of rich do before version 14.1."""

    def start(self):
        raise LiveError("Only one live display may be active at once")

    monkeypatch.setattr(Progress, "start", start)
    assert [*progress.tracked("abc", "inner")] == ["a", "b", "c"]
    assert terminal() == ""


def test_a_bar_is_taken_away_when_its_work_fails(terminal, monkeypatch):
    stop, stopped = Progress.stop, []

    def noted(self):
        stopped.append(self)
        stop(self)

    monkeypatch.setattr(Progress, "stop", noted)
    with pytest.raises(KeyError), progress.bar("work", 2):
        raise KeyError
    assert len(stopped) == 1


class Notebook:
    """The outputs of a notebook's cell, in place of the display of IPython."""

    def __init__(self):
        self.outputs = []

    def display(self, bundle, raw, display_id):
        assert raw
        assert display_id
        self.outputs.append([bundle])
        return Shown(self.outputs[-1])


class Shown:
    """The handle of one output; `update` draws in its place."""

    def __init__(self, drawn):
        self.drawn = drawn

    def update(self, bundle, raw):
        self.drawn.append(bundle)


@pytest.fixture
def notebook(monkeypatch):
    import IPython.display

    notebook = Notebook()
    monkeypatch.setattr(IPython.display, "display", notebook.display)
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(progress.Cell, "_SECONDS_BETWEEN_DRAWINGS", 0)
    return notebook.outputs


def test_a_process_that_is_no_kernel_is_no_notebook():
    assert not progress.in_notebook()


def test_a_bar_in_a_notebook_is_one_output_that_goes(notebook, capfd):
    assert [*progress.tracked("abc", "letters")] == ["a", "b", "c"]
    (drawn,) = notebook
    assert "2/3" in drawn[1]["text/plain"]
    assert "<pre" in drawn[1]["text/html"]
    assert drawn[-1]["text/plain"] == ""
    assert capfd.readouterr() == ("", "")


def test_a_notebook_is_not_flooded(notebook, monkeypatch):
    monkeypatch.setattr(progress.Cell, "_SECONDS_BETWEEN_DRAWINGS", 1000)
    assert len([*progress.tracked(range(500), "steps")]) == 500
    assert [len(drawn) for drawn in notebook] == [2]  # the first, and its end


def test_training_in_a_notebook_is_one_output(notebook, capfd):
    with Training() as bars:
        net().fit(X, X[:, :1], epochs=12, verbose=0, callbacks=[bars])
    (drawn,) = notebook
    lines = drawn[-1]["text/plain"].splitlines()
    assert lines[0] == "2 epochs before"
    assert lines[1].startswith("epoch 3/12  loss ")
    assert lines[-1].startswith("epoch 12/12  loss ")
    assert len(lines) == 11  # and no bars any more
    assert "step" in drawn[0]["text/plain"]
    assert "epoch" not in capfd.readouterr().err


@pytest.mark.long
def test_with_verbose_0_a_notebook_shows_nothing(notebook, tmp_path):
    CALLS["train"](0, tmp_path)
    CALLS["search"](0, tmp_path)
    assert [*progress.tracked("abc", "letters", verbose=0)] == ["a", "b", "c"]
    assert notebook == []


@pytest.mark.long
def test_a_search_in_a_notebook_is_one_table(notebook, tmp_path):
    CALLS["search"]("auto", tmp_path)
    (drawn,) = notebook
    assert "1 of 1 trials" in drawn[-1]["text/plain"]
    assert "optimizer.learning_rate" in drawn[-1]["text/plain"]


@pytest.mark.parametrize("verbose", [2, -1, "always", None])
def test_verbose_is_checked(verbose):
    with pytest.raises(ValueError, match=r'`verbose` must be "auto" or 1 .* Received'):
        progress.news(verbose)


CONFIG = {
    "data": {"use": "spirals", "samples": 60},
    "model": [{"use": "Dense", "units": 4}, {"use": "Dense", "units": 2}],
    "optimizer": {
        "use": "SGD",
        "learning_rate": {"search": "choice", "values": [0.1, 0.2]},
    },
    "loss": {"use": "SparseCategoricalCrossentropy", "from_logits": True},
    "fit": {"epochs": 1},
    "search": {"trials": 1, "objective": "val_loss"},
}


def net():
    layers = [keras.Input((3,)), keras.layers.Dense(2), keras.layers.ReLU()]
    layers += [keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    model = keras.Sequential([*layers, keras.layers.Dense(1)])
    model.compile(loss="mse")
    return model


X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
CALLS = {
    "train": lambda verbose, out: keras_dlparts.train(
        CONFIG, out=out, resume=True, verbose=verbose
    ),
    "search": lambda verbose, out: search(CONFIG, out=out / "s", verbose=verbose),
    "strategy": lambda verbose, out: distribute.strategy(verbose=verbose),
    "fold": lambda verbose, out: keras_dlparts.fold(net(), verbose=verbose),
    "newton": lambda verbose, out: keras_dlparts.newton(
        net(), X, X[:, :1], iterations=1, verbose=verbose
    ),
}
BARS = {
    "monte_carlo": lambda verbose: keras_dlparts.monte_carlo(
        net(), X, 2, verbose=verbose
    ),
    "project_noise": lambda verbose: keras_dlparts.project_noise(
        net(), X, steps=1, verbose=verbose
    ),
    "loss_landscape": lambda verbose: keras_dlparts.analysis.loss_landscape(
        net(), (X, X[:, :1]), 1, 2, verbose=verbose
    ),
    "fisher_diagonal": lambda verbose: keras_dlparts.analysis.fisher_diagonal(
        net(), X, X[:, :1], verbose=verbose
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", CALLS)
def test_what_has_news_tells_them_on_standard_error_or_not_at_all(
    name, tmp_path, capfd
):
    CALLS[name]("auto", tmp_path / "loud")
    out, err = capfd.readouterr()
    assert out == ""
    assert err.strip()
    CALLS[name](0, tmp_path / "silent")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", BARS)
def test_what_takes_long_shows_a_bar_or_nothing_at_all(name, terminal):
    BARS[name](0)
    assert terminal() == ""
    BARS[name]("auto")
    assert "100%" in terminal()
