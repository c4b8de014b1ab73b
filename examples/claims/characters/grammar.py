"""Sentences of a small grammar whose entropy is known, and their characters.

    sentence -> subject verb(subject)            singular or plural, as likely
    noun     -> the N                            in a clause of the last depth
              | the N that verb(N)               the dog that sees the cats runs
              | the N that noun verbs(noun)      the dog that the cats see runs
    verb     -> intransitive | transitive noun

Verbs agree with their nouns over whatever stands between, nested as deep as `DEPTH`.
No sentence can be made in two ways, so its probability is the product of the choices
made, and the cost of a text in nats is the sum of their logarithms.
"""

import math

import numpy as np

DEPTH = 2
WIDTH = 134  # characters of the longest sentence, with the newline before it
ALPHABET = "\nabcdefghijklmnopqrstuvwxyz ."
NOUNS = {"s": "dog cat bird child", "p": "dogs cats birds children"}
ALONE = {"s": "runs sleeps sings", "p": "run sleep sing"}
ACTS = {"s": "sees likes hears follows", "p": "see like hear follow"}


def _rules():
    """{symbol: [(weight, symbols)]}; what is no symbol is a word."""
    rules = {"S": [(1, f"noun-{n}-{DEPTH} verb-{n}-{DEPTH} .") for n in "sp"]}
    for n in "sp":
        rules[f"N-{n}"] = [(1, word) for word in NOUNS[n].split()]
        rules[f"alone-{n}"] = [(1, word) for word in ALONE[n].split()]
        rules[f"acts-{n}"] = [(1, word) for word in ACTS[n].split()]
        for d in range(DEPTH + 1):
            verb, noun = [(6, f"alone-{n}")], [(6, f"the N-{n}")]
            verb += [(2, f"acts-{n} noun-{m}-{d}") for m in "sp"]
            if d:
                noun += [(2, f"the N-{n} that verb-{n}-{d - 1}")]
                noun += [(1, f"the N-{n} that noun-{m}-{d - 1} acts-{m}") for m in "sp"]
            rules[f"verb-{n}-{d}"], rules[f"noun-{n}-{d}"] = verb, noun
    return {
        symbol: [(w / sum(w for w, _ in ways), text.split()) for w, text in ways]
        for symbol, ways in rules.items()
    }


RULES = _rules()


def draw(random, symbol="S"):
    """(words, nats): a sentence and minus the logarithm of its probability."""
    if symbol not in RULES:
        return [symbol], 0.0
    ways = RULES[symbol]
    p, symbols = ways[random.choice(len(ways), p=[p for p, _ in ways])]
    parts = [draw(random, part) for part in symbols]
    words = [word for found, _ in parts for word in found]
    return words, -math.log(p) + sum(nats for _, nats in parts)


def _ends(words, symbols, start):
    """Where a reading of `symbols` that begins at `start` can end."""
    if not symbols:
        yield start
        return
    first, *rest = symbols
    if first in RULES:
        for _, parts in RULES[first]:
            for end in _ends(words, parts, start):
                yield from _ends(words, rest, end)
    elif words[start : start + 1] == [first]:
        yield from _ends(words, rest, start + 1)


def is_sentence(text):
    words = text.removesuffix(".").split() + ["."] * text.endswith(".")
    return written(words) == text and len(words) in _ends(words, ["S"], 0)


def written(words):
    return " ".join(words[:-1]) + "."


def text(count, seed):
    """(sentences, nats of each)."""
    random = np.random.default_rng(seed)
    drawn = [draw(random) for _ in range(count)]
    return [written(words) for words, _ in drawn], np.array([nats for _, nats in drawn])


def arrays(sentences):
    """(x, y) of shape (sentences, WIDTH): a character, and the one that follows.

    A sentence begins and ends with a newline; y is -1 after that.
    """
    x = np.zeros((len(sentences), WIDTH), "int32")
    y = np.full((len(sentences), WIDTH), -1, "int32")
    for row, sentence in enumerate(sentences):
        codes = [ALPHABET.index(letter) for letter in sentence]
        x[row, 1 : len(codes) + 1] = codes
        y[row, : len(codes) + 1] = [*codes, 0]
    return x, y
