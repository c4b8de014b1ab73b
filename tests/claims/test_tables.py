"""A claim's tables hold the figures of its rows."""

import json
from dataclasses import replace

import pytest

from examples.claims import tables
from examples.claims.claim import load

ROWS = [
    {"way": way, "seed": seed, "settings": {"epochs": 2}, "error": error, "by": by}
    for way, seed, error, by in [
        ("a, 1 layer", 0, 1.26, {"layer": [0.5, 0.25]}),
        ("b", 0, 3.0, {"layer": [0.5, 0.125]}),
        ("a, 1 layer", 1, 1.66, {"layer": [0.5, 0.75]}),
        ("b", 1, 3.0, {"layer": [0.5, 0.125]}),
        ("a, 1 layer", 2, 1.31, {"layer": [0.5, 0.35]}),
        ("b", 2, 3.0, {"layer": [0.5, 0.125]}),
        ("b", 3, 9.0, {"layer": [0.5, 0.125]}),  # its seed is not complete
    ]
]


@pytest.fixture
def claim(tmp_path, monkeypatch):
    (tmp_path / "minutes.json").write_text(json.dumps({"rows": ROWS}))
    made = replace(
        load("projected_noise"),
        name="made",
        folder=tmp_path,
        ways={"a, 1 layer": {}, "b": {}},
        budgets={"minutes": {"epochs": 2}},
    )
    known = tables.load
    monkeypatch.setattr(
        tables, "load", lambda name: made if name == "made" else known(name)
    )
    return made


def shown(claim, cell):
    (claim.folder / "minutes.md").write_text(f"| {cell} |\n")
    return tables.table(claim, "minutes")


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("{a, 1 layer: error .2f}", "1.26, 1.66, 1.31"),
        ("{a, 1 layer: error mean .1f}", "1.4 (1.3 to 1.7)"),
        ("{a, 1 layer: error median .2f}", "1.31"),
        ("{a, 1 layer: error range .2f}", "1.26 to 1.66"),
        ("{a, 1 layer: error most .2f}", "1.66"),
        ("{a, 1 layer: by.layer.1 .0%}", "25%, 75%, 35%"),
        ("{b: error mean .1f}", "3.0"),
        ("{made/b: error .0f} and {b: by.layer.0 .1f}", "3 and 0.5"),
    ],
)
def test_a_cell_shows_a_figure_of_the_complete_seeds(claim, cell, told):
    assert shown(claim, cell) == f"| {told} |"


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("{c: error .2f}", "no rows of 'c'"),
        ("{b: nothing .2f}", "nothing"),
        ("{b: by.layer.7 .2f}", "list index out of range"),
        ("{b: error middle .2f}", "middle"),
        ("{b: error}", "a cell is {way: figure format}"),
    ],
)
def test_a_cell_that_names_nothing_is_told_with_its_file(claim, cell, message):
    with pytest.raises(ValueError, match=r"minutes\.md") as told:
        shown(claim, cell)
    assert message in str(told.value)


def test_a_page_gets_the_table_that_it_names(claim):
    shown(claim, "{b: error .0f}")
    page = "Before.\n<!-- figures: made minutes -->\nold\n<!-- /figures -->\nAfter.\n"
    made = tables.placed(page)
    assert made == page.replace("old\n", "\n| 3 |\n\n")
    assert tables.placed(made) == made


def test_a_page_cannot_name_a_table_that_is_not_there(claim):
    with pytest.raises(ValueError, match=r"there is no made/hours\.md"):
        tables.placed("<!-- figures: made hours -->\n<!-- /figures -->\n")
