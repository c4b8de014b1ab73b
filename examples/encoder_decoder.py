"""Read a sequence, keep one vector of it, write it backwards; noise on the vector.

The model is `models.EncoderDecoder` with the cell and the readout of Cho et al. 2014,
"Learning phrase representations using RNN encoder-decoder for statistical machine
translation", arXiv:1406.1078: the states are reset before the product
(`reset_after=False`), and maxout stands before the symbols. Here the cells are
layer-normalised.

    python examples/encoder_decoder.py [--seeds 0 1 2] [--epochs 40] [--more 20]

trains it on few sequences and decodes greedily sequences never seen. Then, as DeVries &
Taylor 2017, arXiv:1702.05538, the encoder is frozen, and the decoder goes on from there
with noise of several strengths on the context; without noise is the control. It writes
`benchmarks/results/encoder_decoder.json` and `docs/figures/encoder_decoder.svg`.
"""

import argparse

import keras
import numpy as np
from studies import ROOT, save, write

from keras_dlparts.layers import FeatureSpaceAugmentation, LayerNormGRU
from keras_dlparts.models import EncoderDecoder

# Sequences of up to 8 of 10 symbols; 0 pads, 1 begins and ends an answer.
LENGTH, SYMBOLS, END = 8, 10, 1
STRENGTHS = (0.0, 0.1, 0.25, 0.5)


def draw(count, seed):
    """Different sequences `(count, LENGTH)`, 4 to 8 symbols each, padded right."""
    random = np.random.default_rng(seed)
    x = random.integers(2, SYMBOLS + 2, (2 * count, LENGTH))
    lengths = random.integers(LENGTH // 2, LENGTH + 1, 2 * count)
    x[np.arange(LENGTH) >= lengths[:, None]] = 0
    return random.permutation(np.unique(x, axis=0))[:count]


def answers(x):
    """The symbols backwards, then END, padded to `(count, LENGTH + 1)`."""
    written = np.zeros((len(x), LENGTH + 1), x.dtype)
    for row, sequence in zip(written, x, strict=True):
        symbols = sequence[sequence > 0][::-1]
        row[: len(symbols) + 1] = [*symbols, END]
    return written


def translator(units, strength=0.0, seed=None):
    """A model that is built, and compiled for the first phase."""
    augmentation = None
    if strength:
        augmentation = FeatureSpaceAugmentation("noise", strength=strength, seed=seed)
    model = EncoderDecoder(
        LayerNormGRU(units, reset_after=False),
        LayerNormGRU(units, reset_after=False),
        vocabulary=SYMBOLS + 2,
        embedding=16,
        readout="maxout",
        end=END,
        augmentation=augmentation,
    )
    model.build([(None, LENGTH), (None, LENGTH + 1)])
    return compiled(model)


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # XLA would take longer to compile each of these short trainings than they take.
    model.compile(keras.optimizers.Adam(2e-3, clipnorm=1.0), loss, jit_compile=False)
    return model


def second_phase(first, strength, seed):
    """A model with the weights of another one, its encoder frozen."""
    model = translator(first.encoder.units, strength, seed)
    for ours, theirs in zip(
        model.trainable_variables, first.trainable_variables, strict=True
    ):
        ours.assign(theirs.numpy())
    model.freeze_encoder()
    return compiled(model)


def measured(model, x, held_out):
    """The shares of sequences that are written without a mistake."""
    shares = {}
    for name, given in (("exact_match", held_out), ("on_training_data", x[:1000])):
        right = (model.generate(given, batch_size=500) == answers(given)).all(axis=1)
        shares[name] = float(right.mean())
    return shares


def study(seeds, epochs, more, train, units):
    """A row for the first phase of each seed, and one for each second phase."""
    x, held_out = np.split(draw(train + 1000, 0), [train])
    y, rows = answers(x), []

    def note(phase, strength, seed, model, epochs):
        options = {"batch_size": 64, "epochs": epochs, "verbose": 0}
        history = model.fit((x, y), y, **options).history
        row = {"phase": phase, "strength": strength, "seed": seed}
        rows.append(row | measured(model, x, held_out) | history)
        print({**rows[-1], "loss": history["loss"][-1]}, flush=True)

    for seed in seeds:
        keras.utils.set_random_seed(seed)
        first = translator(units)
        note(1, None, seed, first, epochs)
        for strength in STRENGTHS:
            note(2, strength, seed, second_phase(first, strength, seed), more)
    return rows


def picture(rows, path):
    """The exact matches by the strength of the noise, and before there is any."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, label, colour in (
        ("exact_match", "never seen", "#0072b2"),
        ("on_training_data", "trained on", "#d55e00"),
    ):
        of = [(r["strength"], r[name]) for r in rows if r["phase"] == 2]
        before = np.mean([r[name] for r in rows if r["phase"] == 1])
        axes.axhline(before, color=colour, linestyle=":")
        axes.plot(*zip(*of, strict=True), "o", color=colour, label=label)
        strengths = list(dict.fromkeys(s for s, _ in of))
        means = [np.mean([m for s, m in of if s == strength]) for strength in strengths]
        axes.plot(strengths, means, color=colour)
    axes.set(xlabel="strength of the noise on the context", ylabel="exact matches")
    axes.set(ylim=(-0.02, 1.02))
    axes.legend(frameon=False)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--more", type=int, default=20)
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--out", type=type(ROOT), default=ROOT)
    asked = parser.parse_args()
    sizes = asked.epochs, asked.more, asked.train, asked.units
    rows = study(asked.seeds, *sizes)
    seeds = " ".join(map(str, asked.seeds))
    command = f"python examples/encoder_decoder.py --seeds {seeds}"
    command += " --epochs {} --more {} --train {} --units {}".format(*sizes)
    write(asked.out / "benchmarks/results/encoder_decoder.json", command, rows)
    picture(rows, asked.out / "docs/figures/encoder_decoder.svg")


if __name__ == "__main__":
    main()
