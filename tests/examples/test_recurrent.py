"""The recurrent examples: their parts are right, and their studies run."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_dlparts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def examples_importable(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")


def run(script, tmp_path, *more):
    path = ROOT / "examples" / f"{script}.py"
    command = [sys.executable, path, "--seeds", "0", "--epochs", "1", *more]
    command = [str(part) for part in [*command, "--out", tmp_path]]
    subprocess.run(command, check=True, timeout=900)
    assert (tmp_path / f"docs/figures/{script}.svg").stat().st_size > 1000
    result = tmp_path / f"benchmarks/results/{script}.json"
    return json.loads(result.read_text())["rows"]


def test_the_grammar_makes_its_own_sentences_and_no_others():
    import grammar

    sentences, nats = grammar.text(300, seed=0)
    assert all(map(grammar.is_sentence, sentences))
    assert any(" that " in sentence for sentence in sentences)
    for wrong in (
        "the dog run.",  # runs
        "the dogs that the cat see run.",  # sees
        "the dogs that the cat sees runs.",  # run
        "the dog runs",
        "the dog  runs.",
        "",
    ):
        assert not grammar.is_sentence(wrong), wrong
    # singular or plural, and 6 of 10 times neither clause nor object; 4 nouns, 3 verbs
    shortest = [n for s, n in zip(sentences, nats, strict=True) if len(s.split()) == 3]
    np.testing.assert_allclose(shortest, -np.log(1 / 2 * 0.6 / 4 * 0.6 / 3))


def test_the_grammars_probabilities_sum_to_one_and_its_longest_sentence_fits():
    """Both over all ways that each rule has."""
    import grammar

    for ways in grammar.RULES.values():
        assert sum(p for p, _ in ways) == pytest.approx(1)

    def longest(symbol):
        if symbol not in grammar.RULES:
            return len(symbol) + 1  # and a space
        ways = grammar.RULES[symbol]
        return max(sum(map(longest, parts)) for _, parts in ways)

    # no space stands before the full stop or after it, and a newline does
    assert longest("S") - 2 + 1 == grammar.WIDTH


def test_characters_are_answered_by_the_next_ones():
    import grammar

    x, y = grammar.arrays(["the dog runs."])
    counts = y[0] >= 0
    assert "".join(grammar.ALPHABET[c] for c in y[0][counts]) == "the dog runs.\n"
    np.testing.assert_array_equal(x[0, 1:14], y[0, :13])
    assert (x[0, 0], counts.sum()) == (0, 14)


def test_nats_a_character_are_those_of_what_counts():
    import characters

    class Even:
        def predict(self, x, **_):
            return np.zeros((*x.shape, 4))

    y = np.array([[1, 2, -1], [3, -1, -1]])
    found = characters.nats_a_character(Even(), y, y)
    np.testing.assert_allclose(found, np.log(4))


def test_a_reversed_sequence():
    import encoder_decoder as study

    x = np.array([[4, 8, 9, 5, 0, 0, 0, 0], [2, 3, 4, 5, 6, 7, 8, 9]])
    assert study.answers(x).tolist() == [
        [5, 9, 8, 4, 1, 0, 0, 0, 0],
        [9, 8, 7, 6, 5, 4, 3, 2, 1],
    ]
    drawn = study.draw(200, seed=0)
    assert len(np.unique(drawn, axis=0)) == 200
    lengths = (drawn > 0).sum(axis=1)
    assert (lengths.min(), lengths.max()) == (4, 8)
    assert (drawn[np.arange(8) >= lengths[:, None]] == 0).all()


@pytest.mark.long
def test_the_second_phase_goes_on_from_the_first_with_noise():
    import encoder_decoder as study

    first = study.translator(units=6)
    model = study.second_phase(first, strength=0.5, seed=0)
    x = study.draw(3, seed=1)
    y = study.answers(x)
    assert model.encode(x).shape == (3, 6)
    np.testing.assert_array_equal(model.encode(x), first.encode(x))
    whole = model.predict((x, y), verbose=0)
    np.testing.assert_allclose(whole, first.predict((x, y), verbose=0), atol=1e-5)
    noisy = keras.ops.stop_gradient(model((x, y), training=True))
    assert not np.allclose(keras.ops.convert_to_numpy(noisy), whole, atol=1e-3)
    # a decoder that always answers the end writes nothing else
    model.to_output.bias.assign(np.eye(12)[study.END] * 100)
    assert model.generate(x).tolist() == [[study.END] + [0] * 8] * 3


@pytest.mark.study
def test_the_adding_config_trains(tmp_path):
    sets = ["data.samples=128", "data.length=20"]
    run = keras_dlparts.train(ROOT / "examples/adding.yaml", sets, tmp_path, epochs=1)
    assert run.status["state"] == "done"
    assert "val_loss" in (run.path / "report.html").read_text()


@pytest.mark.study
def test_the_adding_study_runs(tmp_path):
    pytest.importorskip("matplotlib")
    rows = run("adding", tmp_path, "--rates", "0.003", "--length", "20")
    assert [row["net"] for row in rows] == ["LayerNormLSTM", "LSTM"]


@pytest.mark.study
def test_the_character_study_runs(tmp_path):
    pytest.importorskip("matplotlib")
    kept = tmp_path / "characters.npz"
    rows = run("characters", tmp_path, "--keep", kept, "--sentences", "128")
    assert len(rows) == 3
    assert all(r["perplexity"] > r["perplexity_of_the_grammar"] > 1 for r in rows)
    assert kept.is_file()


@pytest.mark.study
def test_the_encoder_decoder_study_runs(tmp_path):
    pytest.importorskip("matplotlib")
    more = ("--train", "128", "--units", "16", "--more", "1")
    rows = run("encoder_decoder", tmp_path, *more)
    assert [row["strength"] for row in rows] == [None, 0.0, 0.1, 0.25, 0.5]
