"""The rule that makes verdicts: what holds, what does not, and what is too little."""

import json
from pathlib import Path

import pytest

from examples.claims.claim import Claim, Criterion, load_all
from examples.claims.verdict import judge, verdict, verdicts

ROOT = Path(__file__).resolve().parents[2]


def rows(**ways):
    """A row for each value, the seeds counted from 0."""
    return [
        {"way": way, "seed": seed, "settings": {}, "loss": value}
        for way, values in ways.items()
        for seed, value in enumerate(values)
    ]


def made(criteria, ways=("a", "b"), **options):
    return Claim(
        name="made",
        folder=ROOT,
        topic="Depth",
        claim="",
        source="",
        page="",
        ways=ways if isinstance(ways, dict) else dict.fromkeys(ways),
        budgets={"smoke": {}, "minutes": {}, "hours": {}},
        figures={"loss": ""},
        criteria=criteria,
        **options,
    )


def below(by=0.0):
    return Criterion(say="", figure="loss", of="a", below="b", by=by)


def test_differences_are_taken_seed_by_seed():
    # The seeds differ by far more than the ways do, and always to the same side.
    found = judge(below(), rows(a=[1.0, 5.0, 9.0], b=[1.2, 5.1, 9.3]), (0, 1, 2))
    assert found.state == "holds"
    assert found.mean == pytest.approx(-0.2)
    # 2.92 is Student's 95 % point for two degrees of freedom; the deviation is .1.
    assert found.half == pytest.approx(2.92 * 0.1 / 3**0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("a", "by", "state"),
    [
        ([1.0, 1.1, 0.9], 0.0, "holds"),
        ([1.0, 1.1, 0.9], 1.5, "open"),
        ([1.0, 3.5, 2.0], 0.0, "open"),
        ([4.0, 4.1, 3.9], 0.0, "contradicted"),
        ([2.1, 2.1, 2.1], -0.2, "holds"),
        ([2.5, 2.5, 2.5], -0.2, "contradicted"),
    ],
)
def test_a_criterion_holds_or_is_open_or_contradicted(a, by, state):
    assert judge(below(by), rows(a=a, b=[2.0] * 3), (0, 1, 2)).state == state


@pytest.mark.parametrize(
    ("a", "state"),
    [
        ([1.0, 1.1, 0.9], "holds"),
        ([1.3, 1.9, 0.9], "open"),
        ([3.0] * 3, "contradicted"),
    ],
)
def test_a_figure_is_near_a_number(a, state):
    near = Criterion(say="", figure="loss", of="a", near=1.0, within=0.5)
    assert judge(near, rows(a=a), (0, 1, 2)).state == state


def test_words_of_the_verdict():
    good, bad = below(), below(by=5.0)
    some = rows(a=[1.0] * 3, b=[2.0] * 3)
    assert verdict(made([good]), "minutes", some).word == "reproduced"
    assert verdict(made([good, bad]), "minutes", some).word == "partly"
    assert verdict(made([bad]), "minutes", some).word == "not"
    late = made([good, bad], needs="hours")
    assert verdict(late, "minutes", some).word == "not at this budget"
    assert verdict(late, "hours", some).word == "partly"
    two = [row for row in some if row["seed"] < 2]
    assert verdict(made([good]), "minutes", two).word == "too few seeds"
    # A seed that lacks a way does not count.
    assert verdict(made([good]), "minutes", some[:-1]).word == "too few seeds"
    certain = made([good], seeds=[0])
    assert verdict(certain, "minutes", two).word == "reproduced"


def test_rows_with_other_settings_are_done_again(tmp_path):
    claim = made([below()])
    path = claim.result("minutes", tmp_path)
    path.parent.mkdir()
    path.write_text('{"rows": [{"way": "a", "seed": 0, "settings": {"epochs": 1}}]}')
    assert claim.rows("minutes", tmp_path) == []
    path.write_text('{"rows": [{"way": "a", "seed": 0, "settings": {}}]}')
    found = claim.rows("minutes", tmp_path)
    assert claim.wanted(found, [0, 1]) == [(0, "b"), (1, "a"), (1, "b")]


def test_all_claims_are_written_as_they_should_be():
    claims = load_all()  # raises where a file names what is not there
    assert len({claim.name for claim in claims}) == len(claims)
    for claim in claims:
        assert (ROOT / "docs" / claim.page).exists(), claim.name
        assert claim.claim.endswith("."), claim.name
        files = [claim.folder / name for name in ("run.py", claim.config)]
        assert any(path.exists() for path in files), claim.name


def test_settings_are_kept_as_they_were_given(tmp_path):
    from examples.studies import write

    claim = made([below()], ways={"a": {"rate": 0.123456789}, "b": {}})
    row = {
        "way": "a",
        "seed": 0,
        "settings": claim.asked("a", "minutes"),
        "loss": 1 / 3,
    }
    write(claim.result("minutes", tmp_path), "", [row])
    (found,) = claim.rows("minutes", tmp_path)
    assert found["settings"] == {"rate": 0.123456789}
    assert found["loss"] == 0.3333


def test_a_run_that_was_begun_does_not_hide_a_smaller_one(tmp_path):
    claim, folder = made([below()]), tmp_path / "made"
    folder.mkdir()

    def leave(budget, some):
        (folder / f"{budget}.json").write_text(json.dumps({"rows": some}))

    leave("hours", rows(a=[1.0], b=[2.0]))
    assert [one.word for one in verdicts(claim, tmp_path)] == ["too few seeds"]
    leave("minutes", rows(a=[1.0, 1.1, 0.9], b=[2.0, 2.1, 1.9]))
    assert [(one.word, one.budget) for one in verdicts(claim, tmp_path)] == [
        ("reproduced", "minutes")
    ]
