"""The claim on characters: its grammar, and what its figures count."""

import numpy as np
import pytest

from examples.claims.characters import grammar
from examples.claims.claim import load


def test_the_grammar_makes_its_own_sentences_and_no_others():
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
    x, y = grammar.arrays(["the dog runs."])
    counts = y[0] >= 0
    assert "".join(grammar.ALPHABET[c] for c in y[0][counts]) == "the dog runs.\n"
    np.testing.assert_array_equal(x[0, 1:14], y[0, :13])
    assert (x[0, 0], counts.sum()) == (0, 14)


def test_nats_a_character_are_those_of_what_counts():
    class Even:
        def predict(self, x, **_):
            return np.zeros((*x.shape, 4))

    y = np.array([[1, 2, -1], [3, -1, -1]])
    found = load("characters").module().nats_a_character(Even(), y, y)
    np.testing.assert_allclose(found, np.log(4))
