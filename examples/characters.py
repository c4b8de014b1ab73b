"""A character model of a small language, held against the language's own entropy.

    python examples/characters.py [--seeds 0 1 2] [--epochs 10] [--keep characters.npz]

draws sentences of `grammar.py`, trains each cell of `characters.yaml` on them and lets
it write. The yardstick is the perplexity of the grammar itself on the test sentences:
on average no model is better. Writes `benchmarks/results/characters.json` and
`docs/figures/characters.svg`.
"""

import argparse
import tempfile
from pathlib import Path

import grammar
import keras
import numpy as np
from studies import ROOT, fitted, save, write

HERE = Path(__file__).resolve().parent
CELLS = ("LayerNormLSTM", "LayerNormGRU", "LSTM")
COLOURS = ("#0072b2", "#009e73", "#d55e00")
WRITTEN = 300


def make_text(path, count):
    """Write two texts; the grammar's own nats a character on the second."""
    arrays = {}
    for seed, name in enumerate(("train", "test")):
        sentences, nats = grammar.text(count, seed)
        arrays[f"x_{name}"], arrays[f"y_{name}"] = grammar.arrays(sentences)
    with open(path, "wb") as file:
        np.savez(file, **arrays)
    return nats.sum() / (arrays["y_test"] >= 0).sum()


def log_softmax(logits):
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def nats_a_character(model, x, y):
    found = log_softmax(model.predict(x, batch_size=64, verbose=0))
    answers = np.take_along_axis(found, np.maximum(y, 0)[..., None], axis=-1)
    return -answers[y >= 0].mean()


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


def study(seeds, epochs, sentences, path):
    floor = make_text(path, sentences)
    rows = []
    for cell in CELLS:
        for seed in seeds:
            keras.backend.clear_session()
            sets = [f"data.path={Path(path).absolute()}", f"model[1].default={cell}"]
            sets += [f"fit.epochs={epochs}", f"seed={seed}"]
            history, made = fitted(HERE / "characters.yaml", sets)
            nats = nats_a_character(made.model, *made.data.test.arrays())
            texts = sentences_of(made.model, WRITTEN, seed)
            right = sum(map(grammar.is_sentence, texts)) / len(texts)
            rows.append(
                {
                    "cell": cell,
                    "seed": seed,
                    "loss": history["loss"],
                    "perplexity": float(np.exp(nats)),
                    "perplexity_of_the_grammar": float(np.exp(floor)),
                    "grammatical": right,
                    "examples": texts[:6],
                    "mistakes": [t for t in texts if not grammar.is_sentence(t)][:3],
                }
            )
            print(cell, seed, np.exp(nats), np.exp(floor), right, flush=True)
    return rows


def picture(rows, path):
    """What each epoch's training costs beyond the grammar's own entropy."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for row in rows:
        epochs = range(1, len(row["loss"]) + 1)
        colour = COLOURS[CELLS.index(row["cell"])]
        label = row["cell"] if row["seed"] == rows[0]["seed"] else None
        beyond = np.array(row["loss"]) - np.log(row["perplexity_of_the_grammar"])
        axes.plot(epochs, beyond, color=colour, label=label)
    axes.set(xlabel="epoch", ylabel="nats beyond the grammar's", yscale="log")
    figure.legend(loc="outside right center", frameon=False)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--sentences", type=int, default=4000)
    parser.add_argument("--keep", type=Path, help="leave the text in this file")
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.keep or Path(folder) / "characters.npz"
        rows = study(asked.seeds, asked.epochs, asked.sentences, path)
    seeds = " ".join(map(str, asked.seeds))
    command = f"python examples/characters.py --seeds {seeds} --epochs {asked.epochs}"
    command += f" --sentences {asked.sentences}"
    write(asked.out / "benchmarks/results/characters.json", command, rows)
    picture(rows, asked.out / "docs/figures/characters.svg")


if __name__ == "__main__":
    main()
