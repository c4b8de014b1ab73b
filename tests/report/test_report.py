"""The report of real runs, as text and in a real browser."""

import base64
import hashlib
import itertools
import json
import math
import re
import shutil
import sys
from html.parser import HTMLParser

import keras
import numpy as np
import pytest
from helpers.browser import browse, on_a_phone
from matplotlib.figure import Figure

from keras_dlparts import report
from keras_dlparts.report import curves, html, model_graph
from keras_dlparts.report.style import HUES
from keras_dlparts.runs import Run

ENVIRONMENT = {
    "started": "2025-01-02T03:04:05",
    "command": "dlparts train a.yaml",
    "backend": "tensorflow",
    "versions": {"keras": "3.15.1"},
    "accelerators": [],
}


def make(folder, history, name="digits", state="done", message="", layers=()):
    """Write a run directory's files; `history` is column -> values."""
    folder.mkdir()
    count = len(next(iter(history.values()))) if history else 0
    status = {"state": state, "message": message, "epoch": count, "epochs": 5}
    for file, value in {
        "status.json": {**status, "seconds": 75.0},
        "resolved.yaml": {"dlparts": 1, "name": name, "model": []},
        "environment.json": ENVIRONMENT,
        "model.json": list(layers),
    }.items():
        (folder / file).write_text(json.dumps(value))
    (folder / "config.yaml").write_text("name: digits  # <b>bold</b> & more\n")
    if history:
        rows = [
            ",".join(history),
            *(",".join(map(str, r)) for r in zip(*history.values(), strict=True)),
        ]
        (folder / "history.csv").write_text("\n".join(rows) + "\n")
    return Run(folder)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The run of a small real training."""
    x = np.linspace(-1, 1, 96, dtype="float32").reshape(32, 3)
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="hidden"), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    fitted = model.fit(x, x[:, :1], epochs=4, validation_split=0.25, verbose=0)
    history = {
        "epoch": range(4),
        **fitted.history,
        "learning_rate": [0.1, 0.1, 0.01, 0.001],
        "ms_per_step": [40, 2, 2, 2],
        "memory_mb": [500, 510, 510, 510],
    }
    layers = [
        {
            "name": layer.name,
            "class": type(layer).__name__,
            "output_shape": [None, layer.units],
            "parameters": layer.count_params(),
            "trainable": True,
            "from": [],
        }
        for layer in model.layers
    ]
    folder = tmp_path_factory.mktemp("runs") / "digits-20250102-030405"
    run = make(folder, history, layers=layers)
    run.trained = model
    return run


class Page(HTMLParser):
    """Tags, attributes and text; checks that what is opened is closed."""

    VOID = ("meta", "br", "img", "link", "wbr", "input")

    def __init__(self, path):
        super().__init__()
        self.stack, self.tags, self.words = [], [], []
        self.source = path.read_text("utf-8")
        self.feed(self.source)
        self.text = re.sub(r"[ \n]+", " ", "".join(self.words))
        assert self.stack == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def headings(self):
        return re.findall(r"<h2[^>]*>(.*?)</h2>", self.source)

    @property
    def pictures(self):
        """What the pictures drawn by us say to a screen reader."""
        return [a["aria-label"] for a in self.all("svg") if "aria-label" in a]


class Shows:
    """A part with figures, whatever they are."""

    def __init__(self, figures):
        self._figures = figures

    def figures(self, run):
        return self._figures(run)


@pytest.fixture(scope="module")
def page(trained):
    return Page(report.write(trained))


def test_sections(page):
    wanted = "Learning curves, Time and memory, Model, Config, Environment"
    assert ", ".join(page.headings) == wanted


def test_headline(page, trained):
    best = min(trained.history["val_loss"])
    assert f"Best val_loss{best:.4g}" in page.text
    assert f"Final val_mae{trained.history['val_mae'][-1]:.4g}" in page.text
    assert "Epochs4of 5" in page.text
    assert "Wall time1 min 15 s" in page.text
    assert "Time a step2 ms" in page.text  # the median; compiling does not count
    assert "Peak memory510 MB" in page.text


def test_curves(page, trained):
    loss, mae, rate, step, memory = page.pictures
    first, last = (trained.history["val_loss"][i] for i in (0, -1))
    assert loss.startswith("loss by epoch: train from ")
    assert f"val from {first:.4g} to {last:.4g}" in loss
    assert mae.startswith("mae by epoch")
    assert rate.startswith("learning rate by epoch")
    assert "lowest 0.001 at epoch 4, highest 0.1 at epoch 1" in rate
    assert (step[:9], memory[:10]) == ("ms a step", "memory, MB")


def test_model_table(page, trained):
    assert "hiddenDense(None, 4)16" in page.text
    assert f"Total{trained.trained.count_params()}" in page.text


def test_nothing_is_fetched(page):
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "object")
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href"):
                assert value.startswith(("data:", "#"))
    assert "@import" not in page.source
    assert not re.search(r"url\((?!#)", page.source)


def test_one_script_runs_and_the_page_names_it_by_its_hash(page):
    """A browser hashes the text of a script; any other text does not run."""
    (script,) = re.findall(r"<script>(.*?)</script>", page.source, re.DOTALL)
    (policy,) = (a["content"] for a in page.all("meta") if "http-equiv" in a)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'")
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    assert not any(name.startswith("on") for _, a in page.tags for name in a)


def test_a_picture_carries_what_is_under_the_pointer(page, trained):
    curve = json.loads(page.all("svg")[-5]["data-curve"])
    assert curve["at"] == [1, 2, 3, 4]
    (train, *_), (val, seen, colour) = curve["series"]
    assert (train, val, colour) == ("train", "val", "var(--val)")
    assert seen == pytest.approx(trained.history["val_loss"], rel=1e-4)
    left, top, width, height = curve["box"]
    assert 0 < left < left + width < 360
    assert 0 < top < top + height < 210
    low, high = curve["y"]
    assert low < min(seen) < max(seen) < high


def first_curve(page):
    shown = next(a for a in page.all("svg") if "data-curve" in a)
    return json.loads(shown["data-curve"])


def test_the_pointer_finds_gaps_and_few_points_of_many(tmp_path):
    history = {"epoch": range(1000), "loss": [1, "nan", "inf", *[2] * 997]}
    page = Page(report.write(make(tmp_path / "run", history)))
    curve = first_curve(page)
    assert curve["at"][:2] == [1, 4]  # every third, to stay below 400
    assert len(curve["at"]) == 334
    every = Page(
        report.write(make(tmp_path / "b", {"epoch": [0, 1], "loss": [1, "nan"]}))
    )
    curve = first_curve(every)
    assert curve["series"][0][1] == [1.0, None]


def test_ids_are_unique_and_references_hold(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    used = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', page.source)
    assert {a or b for a, b in used} <= set(ids)


def test_accessible(page):
    assert len(page.all("h1")) == 1
    assert page.all("html")[0]["lang"] == "en"
    assert all("alt" in a for a in page.all("img"))
    assert all("scope" in a for a in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))


def _contrast(a, b):
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        ]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast_in_light_and_dark(page, scheme):
    css = page.source.split("prefers-color-scheme")[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", css))
    for ground in ("paper", "card"):
        hues = [f"hue-{i}" for i in range(HUES)]
        for ink in ("ink", "muted", "train", "val", "good", "warn", "bad", *hues):
            assert _contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


def test_all_text_is_escaped(tmp_path):
    evil = "<script>alert('x')</script>\"&"
    run = make(
        tmp_path / "run",
        {"epoch": [0, 1], "loss": [2, 1], evil.replace('"', ""): [1, 2]},
        name=evil,
        state="failed",
        message=evil,
        layers=[{"name": evil, "class": evil, "output_shape": evil, "from": [evil]}]
        * 2,
    )
    (run.path / "config.yaml").write_text(evil)

    def figures(run):
        return {evil: [{evil: evil}], evil + "2": Figure()}

    def fails(run):
        raise ValueError(evil)

    part = Shows(figures)
    part.name = evil
    page = Page(report.write(run, [part, Shows(fails)]))
    assert len(page.all("script")) == 1  # the page's own
    assert page.text.count("<script>alert('x')</script>") >= 8
    assert "<b>" not in page.source


def test_figures_of_parts(trained):
    def figures(run):
        figure = Figure()
        figure.add_subplot().plot(run.history["loss"])
        return {"Loss again": figure, "Thresholds": [{"layer": "a", "hits": 12000}]}

    source = Page(report.write(trained, [object(), Shows(figures)]))
    assert "Shows" in source.headings
    (image,) = source.all("img")
    assert image["alt"] == "Loss again"
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert "Thresholdslayerhitsa12\N{NARROW NO-BREAK SPACE}000" in source.text


def svg_of(image):
    return base64.b64decode(image["src"].partition("base64,")[2]).decode()


def test_a_figure_of_a_part_takes_the_ink_of_both_schemes(trained):
    def figures(run):
        figure = Figure()
        axes = figure.add_subplot()
        axes.plot([0, 1], color="black", label="kept")
        axes.plot([1, 0], color="#0072b2", label="as chosen")
        axes.legend()
        return {"Lines": figure}

    (image,) = Page(report.write(trained, [Shows(figures)])).all("img")
    svg = svg_of(image)
    assert "prefers-color-scheme:dark" in svg
    assert "#000000" not in svg
    assert "#ffffff" not in svg
    assert "#0072b2" in svg


def test_a_heavy_figure_becomes_pixels(trained):
    def figures(run):
        figure = Figure()
        x, y = np.random.default_rng(0).random((2, 20_000))
        figure.add_subplot().scatter(x, y)
        return {"Points": figure}

    (image,) = Page(report.write(trained, [Shows(figures)])).all("img")
    svg = svg_of(image)
    assert "data:image/png;base64," in svg  # the points; the axes take both schemes
    assert len(svg) < 400_000


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        (lambda run: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda run: None, "AttributeError"),
        (lambda run: {"a": 3}, "a picture is a matplotlib Figure or a list of dicts"),
        (lambda run: {"a": [1]}, "Received: 'a' of type list"),
    ],
)
def test_a_part_that_fails_does_not_cost_the_report(trained, figures, message):
    page = Page(report.write(trained, [Shows(figures)]))
    assert "figures(run) of Shows failed" in page.text
    assert message in page.text
    assert page.headings[-1] == "Environment"


def test_a_part_without_pictures_has_no_section(trained):
    assert "Shows" not in Page(report.write(trained, [Shows(lambda run: {})])).headings


@pytest.mark.parametrize("state", ["failed", "stopped", "running"])
def test_the_message_stands_out(tmp_path, state):
    history = {"epoch": [0], "loss": [1.0]}
    run = make(tmp_path / "run", history, state=state, message="nan in `dense/kernel`")
    page = Page(report.write(run))
    notices = [a for a in page.all("div") if a.get("class") == f"notice {state}"]
    assert len(notices) == 1
    assert ("role" in notices[0]) == (state == "failed")
    assert "nan in `dense/kernel`" in page.text


def test_an_evaluation_says_whose_weights_it_is_of(tmp_path):
    history = {"epoch": [0, 1], "loss": [3.0, 2.0], "val_loss": [2.0, 1.0]}
    run = make(tmp_path / "run", history)
    row = {"metrics": {"accuracy": 0.975}, "epoch": 2}
    (run.path / "evaluation.json").write_text(json.dumps({"test": row}))
    page = Page(report.write(Run(run.path)))
    assert "Test accuracy0.975weights of epoch 2" in page.text
    assert "Evaluation" in page.headings
    (run.path / "evaluation.json").write_text(json.dumps({"test": row | {"epoch": 1}}))
    page = Page(report.write(Run(run.path)))
    assert "weights of epoch 1, not those kept now" in page.text


def test_the_state_of_the_code_is_told(tmp_path):
    run = make(tmp_path / "run", {})
    git = {"commit": "0123456789abcdef", "branch": "trunk", "changed": True}
    for more, said in (
        ({}, "commit 0123456789ab on trunk, with uncommitted changes"),
        ({"diff": "a.diff"}, "with uncommitted changes (in a.diff)"),
        ({"changed": False, "branch": None}, "0123456789ab, no uncommitted changes"),
        ({"commit": None}, ""),
    ):
        environment = ENVIRONMENT | {"git": git | more}
        (run.path / "environment.json").write_text(json.dumps(environment))
        page = Page(report.write(Run(run.path)))
        assert said in page.text
    assert "uncommitted changes" not in page.text  # of no commit


def test_before_the_first_epoch(tmp_path):
    page = Page(
        report.write(make(tmp_path / "run", {}, state="failed", message="boom"))
    )
    assert "No epoch was finished" in page.text
    assert "The model was never built" in page.text


def test_one_epoch_and_numbers_that_are_not(tmp_path):
    one = make(tmp_path / "one", {"epoch": [0], "loss": [1.5], "val_loss": ["nan"]})
    page = Page(report.write(one))
    assert page.pictures[0].startswith("loss by epoch: train from 1.5 to 1.5")
    history = {
        "epoch": [0, 1, 2],
        "loss": [1e30, "inf", "nan"],
        "val_loss": [-1, "", 0],
    }
    page = Page(report.write(make(tmp_path / "odd", history)))
    assert "Best val_loss-1at epoch 1" in page.text


def test_many_epochs_keep_the_page_small(tmp_path):
    count = 5000
    history = {"epoch": range(count), "loss": [1 / (i + 1) for i in range(count)]}
    page = Page(report.write(make(tmp_path / "run", history)))
    assert len(page.source) < 300_000
    assert "5000 epochs, every 25th shown" in page.text


def test_branches_and_frozen_layers(tmp_path):
    layers = [
        {"name": "in", "class": "InputLayer", "output_shape": "(None, 3)", "from": []},
        {
            "name": "a",
            "class": "Dense",
            "parameters": 8,
            "trainable": 8,
            "from": ["in"],
        },
        {
            "name": "b",
            "class": "Dense",
            "parameters": 8,
            "trainable": 0,
            "from": ["in"],
        },
        {"name": "c", "class": "Add", "from": ["a", "b"], "output_shape": [[None, 2]]},
    ]
    run = make(tmp_path / "run", {"epoch": [0], "loss": [1]}, layers=layers)
    page = Page(report.write(run))
    assert "LayerClassFromOutput shapeTrainableParameters" in page.text
    assert "cAdda, b(None, 2)" in page.text
    assert "Total816" in page.text
    drawing = next(a for a in page.pictures if a.startswith("The model as a graph"))
    assert "4 layers" in drawing
    # in, a and b, c: three ranks; a and b stand beside each other.
    boxes = [(float(a["x"]), float(a["y"])) for a in page.all("rect") if "rx" in a]
    (_, top), (a, middle), (b, level), (_, bottom) = boxes
    assert top < middle == level < bottom
    assert a < b


def row(name, *sources):
    return {"name": name, "class": "Dense", "from": [*sources]}


def test_a_chain_is_not_drawn_and_its_layers_share_a_box():
    chain = [row("a"), row("b", "a"), row("c", "b")]
    assert model_graph.draw(chain) == ""
    skip = [*chain, row("sum", "a", "c"), row("out", "sum")]
    svg = model_graph.draw(skip)
    assert svg.count("<rect") == 3  # a; b and c; sum and out
    assert "<title>b (Dense), c (Dense)</title>" in svg
    # The edge from a to sum has a place of its own beside b and c.
    assert svg.count("<path") == 4


def test_no_box_lies_on_another_and_no_edge_crosses_in_a_ladder():
    rows = [row("in")]
    for i in range(6):
        rows += [row(f"l{i}", "in" if not i else f"l{i - 1}")]
        rows += [row(f"r{i}", "in" if not i else f"r{i - 1}", f"l{i}")]
    svg = model_graph.draw([*rows, row("end", "l5", "r5")])
    found = re.findall(r'<rect x="(\S+)" y="(\S+)" width="(\S+)" height="(\S+)"', svg)
    boxes = [tuple(map(float, one)) for one in found]
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(boxes, 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y


def test_a_layer_that_is_used_again_leads_back():
    svg = model_graph.draw([row("in"), row("shared", "in", "b"), row("b", "shared")])
    assert svg.count('class="again"') == 1
    assert svg.count("<rect") == 3


def test_without_matplotlib(tmp_path, monkeypatch):
    history = {"epoch": [0], "loss": [1.25], "ms_per_step": [3]}
    run = make(tmp_path / "run", history)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = Page(report.write(run, [Shows(lambda run: {"A table": [{"a": 1}]})]))
    assert "pip install keras-dlparts[plot]" in page.text
    assert page.pictures == []
    assert "1.25" in page.text  # the figures as a table, unfolded
    assert "open" in page.all("details")[0]
    assert "A table" in page.text


def test_written_whole_or_not_at_all(tmp_path):
    run = make(tmp_path / "run", {"epoch": [0], "loss": [1]})
    report.write(run)
    before = (run.path / "report.html").read_text()
    (run.path / "status.json").write_text("{")
    with pytest.raises(ValueError, match=r"status\.json"):
        report.write(run.path)
    assert (run.path / "report.html").read_text() == before
    (run.path / "report.html").unlink()
    (run.path / "report.html").mkdir()  # cannot be replaced by a file
    with pytest.raises(OSError, match=r"report\.html"):
        report.write(run)
    assert not list(run.path.glob(".report*"))


@pytest.mark.parametrize(
    ("name", "values", "log"),
    [
        ("loss", [30, 1], True),
        ("loss", [29.9, 1], False),
        ("loss", [30, 0], False),
        ("accuracy", [0.9, 0.01], False),
        ("loss", [], False),
    ],
)
def test_log_axis_at_its_boundary(name, values, log):
    assert curves.asks_for_log(name, values) is log


def test_twins_share_a_picture():
    history = ["epoch", "accuracy", "loss", "val_loss", "val_only", "learning_rate"]
    assert curves.groups(history) == [
        ("loss", "loss", "val_loss"),
        ("accuracy", "accuracy", None),
        ("only", None, "val_only"),
    ]


def test_what_averaged_weights_reach_is_a_figure_of_validation():
    history = ["loss", "val_loss", "average_val_loss", "average_size"]
    assert curves.groups(history) == [
        ("loss", "loss", "val_loss"),
        ("average_val_loss", None, "average_val_loss"),
        ("average_size", "average_size", None),
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min 0 s"), (3600, "1 h 0 min")],
)
def test_duration(seconds, said):
    assert html.duration(seconds) == said


def test_number():
    assert html.number(1234567) == "1\u202f234\u202f567"
    assert html.number(0.123456) == "0.1235"
    assert html.number(math.nan) == html.number(None) == "–"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser(trained, tmp_path, scheme):
    def fails(run):
        raise ValueError("boom")

    path = report.write(trained, [Shows(fails)])
    shown = browse(path.as_uri(), tmp_path, scheme)
    for title in ("Learning curves", "Time and memory", "Model", "Shows", "Config"):
        assert f">{title}</h2>" in shown
    assert shown.count('<svg viewBox="0 0 360 210" role="img"') == 5
    assert shown.count('class="tip"') == 5  # the page's script ran


@pytest.mark.slow
def test_at_the_width_of_a_phone(trained, tmp_path):
    """Nothing is cut, letters can be read, and values show under the pointer."""
    found = on_a_phone(report.write(trained), tmp_path)
    history = trained.history
    train, val = (float(f"{history[c][1]:.5g}") for c in ("loss", "val_loss"))
    assert found.pop("tip") == ["epoch 2", f"train {train}", f"val {val}"]
    assert found == {"beyond": 0, "cut": 0, "small": 0}


@pytest.mark.slow
def test_a_comparison_in_a_browser(trained, tmp_path):
    other = shutil.copytree(trained.path, tmp_path / "another")
    with (other / "resolved.yaml").open("w") as file:
        json.dump({"dlparts": 1, "name": "digits", "model": [], "seed": 3}, file)
    page = trained.compare(other).write(tmp_path / "page.html")
    shown = browse(page.as_uri(), tmp_path / "browser")
    assert ">What differs</h2>" in shown
    assert shown.count('class="tip"') == 4  # loss and mae, training and validation
    found = on_a_phone(page, tmp_path)
    assert found.pop("tip")[0] == "epoch 2"
    assert found == {"beyond": 0, "cut": 0, "small": 0}
