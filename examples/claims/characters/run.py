"""A model of a small language's characters, beside the language's own entropy.

The sentences are those of `grammar.py`. What the grammar itself has as perplexity on
the test sentences no model beats on average.
"""

import tempfile
from pathlib import Path

import numpy as np

from examples.claims.characters import grammar
from examples.studies import fitted

CONFIG = Path(__file__).with_name("config.yaml")
COLOURS = {"LayerNormLSTM": "#0072b2", "LayerNormGRU": "#009e73", "LSTM": "#d55e00"}


def run(seed, data, cell, epochs, sentences, written):
    """The perplexity on new sentences, and how many of its own are right."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "characters.npz"
        floor = make_text(path, sentences)
        sets = [f"data.path={path}", f"model[1].default={cell}"]
        sets += [f"fit.epochs={epochs}", f"seed={seed}"]
        history, made = fitted(CONFIG, sets)
        x, y = made.data.test.arrays()
    texts = sentences_of(made.model, written, seed)
    wrong = [text for text in texts if not grammar.is_sentence(text)]
    return {
        "perplexity": float(np.exp(nats_a_character(made.model, x, y))),
        "perplexity_of_the_grammar": float(np.exp(floor)),
        "grammatical": 1 - len(wrong) / len(texts),
        "losses": history["loss"],
        "examples": texts[:6],
        "mistakes": wrong[:3],
    }


def make_text(path, count):
    """Write two texts; the grammar's own nats a character on the second."""
    arrays = {}
    for seed, name in enumerate(("train", "test")):
        sentences, nats = grammar.text(count, seed)
        arrays[f"x_{name}"], arrays[f"y_{name}"] = grammar.arrays(sentences)
    np.savez(path, **arrays)
    return nats.sum() / (arrays["y_test"] >= 0).sum()


def nats_a_character(model, x, y):
    found = log_softmax(model.predict(x, batch_size=64, verbose=0))
    answers = np.take_along_axis(found, np.maximum(y, 0)[..., None], axis=-1)
    return -answers[y >= 0].mean()


def log_softmax(logits):
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def sentences_of(model, count, seed):
    """What the model writes, drawn character by character from its own answers.

    Each step asks for whole sentences, of which it needs the last character only:
    every call has one shape, so nothing is compiled twice.
    """
    random = np.random.default_rng(seed)
    x = np.zeros((count, grammar.WIDTH), "int32")
    over = np.zeros(count, bool)
    for at in range(grammar.WIDTH - 1):
        logits = model.predict(x, batch_size=count, verbose=0)[:, at]
        noise = random.gumbel(size=logits.shape)  # the largest sum is a draw
        x[:, at + 1] = np.where(over, 0, (logits + noise).argmax(-1))
        over |= x[:, at + 1] == 0
        if over.all():
            break
    return ["".join(grammar.ALPHABET[c] for c in row).strip("\n") for row in x]


def draw(figure, rows):
    """What each epoch's training costs beyond the grammar's own entropy."""
    figure.set_size_inches(6, 3.4)
    axes = figure.add_subplot()
    for row in rows:
        beyond = np.array(row["losses"]) - np.log(row["perplexity_of_the_grammar"])
        label = row["way"] if row["seed"] == rows[0]["seed"] else None
        epochs = range(1, len(beyond) + 1)
        axes.plot(epochs, beyond, color=COLOURS[row["way"]], label=label)
    axes.set(xlabel="epoch", ylabel="nats beyond the grammar's", yscale="log")
    figure.legend(loc="outside right", frameon=False)
