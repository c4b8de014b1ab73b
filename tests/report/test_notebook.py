"""What a notebook shows of runs, comparisons and parts' figures."""

import json

import pytest
from matplotlib.figure import Figure

from keras_dlparts import report
from keras_dlparts.comparing import Comparison, Runs
from keras_dlparts.runs import Run


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "runs" / "digits-1"
    folder.mkdir(parents=True)
    status = {"state": "done", "message": "", "epoch": 2, "epochs": 2, "seconds": 4.0}
    for name, text in {
        "status.json": json.dumps(status),
        "resolved.yaml": "name: digits <b>\nmodel: []\n",
        "environment.json": json.dumps({"backend": "jax"}),
        "history.csv": "epoch,loss,val_loss\n1,2,3\n2,1,2\n",
    }.items():
        (folder / name).write_text(text)
    return Run(folder)


def test_a_run(run):
    shown = run._repr_html_()
    assert shown.startswith('<div class="dlparts"><style>')
    assert "Best val_<wbr>loss" in shown
    assert "loss by epoch: train from 2 to 1, lowest 1 at epoch 2" in shown
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert "report.html" not in shown  # it was not written
    report.write(run)
    assert f"{run.path}/report.html" in run._repr_html_()


def test_the_style_stays_inside(run):
    """Each rule is within `.dlparts`, since the notebook has elements of the kind."""
    style = run._repr_html_().partition("<style>")[2].partition("</style>")[0]
    depth, outside = 0, ""
    for letter in style:
        depth += (letter == "{") - (letter == "}")
        outside += letter if depth == 0 and letter != "}" else ""
    rules = [rule.strip() for rule in outside.split("\n") if rule.strip()]
    assert all(".dlparts" in rule or rule.startswith("@media") for rule in rules)


def test_a_broken_run_is_told_and_raises_nothing(run):
    (run.path / "status.json").write_text("{")
    assert "cannot be read" in Run(run.path)._repr_html_()


def test_runs_and_a_comparison(run):
    other = run.path.with_name("digits-2")
    other.mkdir()
    for path in run.path.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    (other / "resolved.yaml").write_text("name: digits <b>\nmodel: []\nseed: 3\n")
    shown = Runs(run.path.parent)._repr_html_()
    for wanted in ("digits-1", "digits-2", "val_loss 2 at epoch 2", ">seed</th>"):
        assert wanted in shown
    shown = Comparison([run, other])._repr_html_()
    assert "<mark>3</mark>" in shown
    assert "2 curves" in shown


def test_no_runs(tmp_path):
    assert "No runs under" in Runs(tmp_path)._repr_html_()


class Part:
    def figures(self, run):
        return {"Curve": Figure(), "Rows": [{"epochs": run.status["epoch"]}]}


def test_figures_of_a_part(run):
    figures = report.figures(Part(), run)
    assert [*figures] == ["Curve", "Rows"]
    shown = figures._repr_html_()
    assert 'alt="Curve"' in shown
    assert "<td" in shown
    with pytest.raises(TypeError, match=r"a method `figures\(run\)`.*Received: 3"):
        report.figures(3, run)
