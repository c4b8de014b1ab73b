"""The notebook runs as it stands, and shows what it says it shows."""

import json
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "first_steps.ipynb"


def test_it_is_committed_without_outputs():
    for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """The notebook's code cells after it ran, in a kernel of this environment."""
    import nbclient
    import nbformat

    folder = tmp_path_factory.mktemp("jupyter")
    kernel = folder / "kernels" / "python3"
    kernel.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    described = {"argv": command, "display_name": "Python 3", "language": "python"}
    (kernel / "kernel.json").write_text(json.dumps(described))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder))
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        client = nbclient.NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell, kind="text/html"):
    return [o["data"][kind] for o in cell.outputs if kind in o.get("data", {})]


def cell_with(cells, text):
    return next(cell for cell in cells if text in cell.source)


@pytest.mark.study
def test_training_shows_one_output_that_replaces_itself(cells):
    cell = cell_with(cells, "run = keras_dlparts.train(config")
    outputs = shown(cell)
    assert len(outputs) <= 3  # the progress, the run, and a line of news
    (progress,) = (out for out in outputs if "epoch 30/30" in out)
    assert "20 epochs before" in progress
    assert progress.count("epoch ") == 10
    run = outputs[-1]
    assert '<div class="dlparts">' in run
    assert "Best val_loss" in run.replace("<wbr>", "")
    assert "loss by epoch: train from" in run
    assert "<script" not in run


@pytest.mark.study
def test_with_verbose_0_nothing_is_shown_but_the_result(cells):
    (comparison,) = cell_with(cells, "verbose=0\n)\nrun.compare").outputs
    assert "optimizer.learning_rate" in comparison["data"]["text/html"]
    assert "2 curves" in comparison["data"]["text/html"]


@pytest.mark.study
def test_the_search_shows_a_table_that_replaces_itself(cells):
    cell = cell_with(cells, "search = keras_dlparts.search(")
    table, search = shown(cell)
    assert "4 of 4 trials" in table
    assert "val_loss by epoch, 4 curves" in search
    (frame,) = shown(cell_with(cells, "trials_dataframe"))
    assert frame.count("<tr") == 5
    (metrics,) = shown(cell_with(cells, "search.best.model"), "text/plain")
    assert "accuracy" in metrics
