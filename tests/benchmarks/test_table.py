"""The benchmarks' page is current, each line has a figure, regressions are told."""

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def front():
    """The modules `table` and `__main__` of benchmarks/."""
    sys.path.insert(0, str(ROOT))
    try:
        from benchmarks import __main__, table
    finally:
        sys.path.remove(str(ROOT))
    return table, __main__


def test_the_page_is_current(front):
    table, main = front
    assert main.write_readme(only_check=True) == 0
    assert table.README.read_text(encoding="utf-8") == table.page()


def test_each_recorded_result_has_its_figures_and_its_reasons(front):
    table, _ = front
    benchmarks, others = table.load()
    known = {each.name for each in benchmarks} | {*others}
    for each in benchmarks:
        result = each.result(table.RESULTS)
        for line in each.compares if result else ():
            figure = line.figure(result["rows"])
            assert figure.median > 0, line.work
            assert line.meets(figure) is not False or line.missed, (
                f"What stands in the way of this goal? Received none: {line.work}"
            )
    # A benchmark's result without an entry would be read by nobody.
    scripts = {"sparsity.py"}  # a study, with a claim
    for path in table.RESULTS.glob("*.json"):
        command = json.loads(path.read_text(encoding="utf-8"))["command"]
        _, found, rest = command.partition("benchmarks/")
        if found and rest.split()[0] not in scripts:
            assert path.stem in known


def made(front, ratio, better="more", **more):
    table, _ = front
    line = {"work": "ours", "peer": "theirs", "better": better, **more}
    one = table.Benchmark("made", "a made one", "A=b python x.py", 1, [line])
    return one, {"rows": [{"ratio": {"median": r}} for r in ratio]}


@pytest.mark.parametrize(
    ("better", "recorded", "fresh", "worse"),
    [
        ("more", 2.0, 1.83, False),
        ("more", 2.0, 1.81, True),
        ("less", 2.0, 2.19, False),
        ("less", 2.0, 2.21, True),
        ("less", 2.0, 1.0, False),
        ("more", 2.0, 9.0, False),
    ],
)
def test_a_regression_is_told(
    front, monkeypatch, tmp_path, better, recorded, fresh, worse
):
    table, _ = front
    monkeypatch.setattr(table, "RESULTS", tmp_path / "recorded")
    for folder, ratio in (("recorded", recorded), ("fresh", fresh)):
        one, result = made(front, [ratio], better)
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "made.json").write_text(json.dumps(result))
    lines, told = table.fresh_table([one], tmp_path / "fresh")
    assert told == (["ours"] if worse else [])
    assert ("WORSE" in lines[-1]) == worse


def test_the_worst_of_several_rows_counts(front):
    for better, worst in (("more", 1.0), ("less", 3.0)):
        one, result = made(front, [2.0, 1.0, 3.0], better, goal=2.0)
        (line,) = one.compares
        assert line.figure(result["rows"]).median == worst
        assert line.meets(line.figure(result["rows"])) is False
        with pytest.raises(ValueError, match="0 such rows"):
            line.figure([])
        with pytest.raises(ValueError, match="1 such rows, 0 figures"):
            line.figure([{"other": 1}])
    with pytest.raises(ValueError, match=r"less or more\. Received: 'fewer'"):
        made(front, [1.0], "fewer")


def test_what_runs_and_how(front, tmp_path):
    table, main = front
    benchmarks, _ = table.load()
    few = main.chosen(benchmarks, minutes=20)
    assert 15 < sum(each.minutes for each in few) <= 20
    assert not any(each.needs for each in main.chosen(benchmarks, everything=True))
    with pytest.raises(ValueError, match="No such benchmark: rbn"):
        main.chosen(benchmarks, ["rbn"])
    one, _ = made(front, [1.0])
    words, told = one.call(tmp_path)
    assert words == ["python", "x.py", "--out", str(tmp_path / "made.json")]
    assert told == {"A": "b"}


def test_a_benchmark_runs_in_a_process_without_openblas_settings(
    front, monkeypatch, tmp_path, capsys
):
    table, main = front
    script = tmp_path / "x.py"
    script.write_text(
        "import json, os, sys\n"
        "ratio = 9.0 if 'OPENBLAS_CORETYPE' in os.environ else 1.0\n"
        "json.dump({'rows': [{'ratio': ratio}]}, open(sys.argv[2], 'w'))\n"
    )
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    line = {"work": "ours", "peer": "theirs", "better": "less"}
    one = table.Benchmark("made", "a made one", f"python {script}", 1, [line])
    two = table.Benchmark("gone", "fails", f"python {script}.no", 1, [line])
    failed, worse = main.measure([one, two], tmp_path / "out")
    assert (failed, worse) == ([two], [])
    assert "| ours | theirs | less |  |  | 1.00 |  |  |" in capsys.readouterr().out
