"""The live table, drawn from oracles that nothing trains for."""

import io

from rich.console import Console

from keras_dlparts.config.document import Document
from keras_dlparts.config.errors import ConfigError, Problem
from keras_dlparts.config.schema import Search
from keras_dlparts.config.whole_space import whole_space
from keras_dlparts.searching.oracles import make_oracle
from keras_dlparts.searching.table import LiveTable

SPACE = {"rate": {"search": "float", "min": 0.0, "max": 1.0}}


def oracle_in(folder, **settings):
    folder.mkdir(exist_ok=True)
    spaces = whole_space(Document(SPACE))
    settings = {"seed": 0, "direction": "min", "trials": 30, **settings}
    return make_oracle(folder, spaces, Search(**settings), 9)


def end(oracle, score, seconds=2.0, reason="the loss is not finite\nat epoch 1"):
    trial = oracle.create_trial("w")
    if score is None:
        oracle.finish(trial, "FAILED", reason, reason=reason, seconds=seconds)
        return trial
    oracle.update_trial(trial.trial_id, {"val_loss": score}, step=0)
    oracle.finish(trial, "COMPLETED", epochs=1, asked=1, seconds=seconds)
    return trial


def drawn(table):
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(table.table())
    return console.export_text().splitlines()


def test_the_table_says_how_it_stands(tmp_path):
    oracle = oracle_in(tmp_path)
    table = LiveTable(oracle, workers=2, console=Console(file=io.StringIO()))
    best = end(oracle, 0.25)
    for _ in range(14):
        end(oracle, 0.5)
    end(oracle, None)
    running = oracle.create_trial("w")
    table.on_epoch(running.trial_id, 3, 9, {})
    lines = drawn(table)
    # 14 are left, two at a time, of two seconds each.
    assert lines[0].startswith("16 of 30 trials · 1 failed · best val_loss 0.25 (trial")
    assert "about 14.0 s left" in lines[0]
    assert len(lines) == 2 + 12 + 1  # and the best, although it was long ago
    rows = lines[2:]
    (first,) = [line for line in rows if line.startswith(best.trial_id)]
    assert "done" in first
    assert "0.25" in first
    (last,) = [line for line in rows if line.startswith(running.trial_id)]
    assert "running" in last
    assert "3/9" in last
    assert f"rate {running.hyperparameters.values['rate']:.4g}" in last
    (failed,) = [line for line in lines if "failed" in line and "·" not in line]
    assert failed.rstrip().endswith("the loss is not finite")


def test_elsewhere_it_says_a_line_a_trial(tmp_path):
    oracle = oracle_in(tmp_path, trials=3)
    end(oracle, 0.75)  # before: not said again
    console = Console(width=200, file=io.StringIO())
    with LiveTable(oracle, console=console) as table:
        end(oracle, 0.5)
        table.update()
        table.update()
        end(oracle, None)
    assert console.file.getvalue() == (
        "trial 1  val_loss 0.5  2.0 s  best 0.5 in trial 1  about 2.0 s left\n"
        "trial 2  failed: the loss is not finite  2.0 s  best 0.5 in trial 1\n"
    )


def test_a_problem_of_the_config_is_told_with_its_place(tmp_path):
    oracle = oracle_in(tmp_path)
    console = Console(width=200, file=io.StringIO())
    problem = Problem("a.yaml", (2, 9), "model[0].units", "must be positive\nor so")
    with LiveTable(oracle, console=console) as table:
        end(oracle, None, reason=str(ConfigError([problem])))
    told = "a.yaml:2:9  model[0].units: must be positive"
    assert f"failed: {told}  2.0 s" in console.file.getvalue()
    assert drawn(table)[-1].rstrip().endswith(told)


def test_hyperband_knows_how_many_there_will_be(tmp_path):
    """The 23 trials of test_hyperband_halves."""
    assert oracle_in(tmp_path / "a", algorithm="hyperband", trials=None).expected == 23
    assert oracle_in(tmp_path / "b", algorithm="hyperband", trials=5).expected == 5
