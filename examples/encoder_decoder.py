"""Read a sequence, keep one vector of it, write it backwards; noise on the vector.

    h_t = GRU(h_{t-1}, e(x_t))          c = tanh(V h_T)            the context vector
    s_0 = tanh(V' c)                    s_t = GRU(s_{t-1}, [e(y_{t-1}), c])
    p(y_t | y_<t, x) = softmax(G maxout(O_s s_t + O_y e(y_{t-1}) + O_c c))

The cell is that of Cho et al. 2014, "Learning phrase representations using RNN
encoder-decoder for statistical machine translation", arXiv:1406.1078, with its states
reset before the product (`reset_after=False`), here layer-normalised. All that the
decoder knows of x is c, a tensor of its own: `FeatureSpaceAugmentation` stands on it.

    python examples/encoder_decoder.py [--seeds 0 1 2] [--epochs 40]

trains with and without noise on c on few sequences, decodes greedily sequences never
seen, and writes `benchmarks/results/encoder_decoder.json` and
`docs/figures/encoder_decoder.svg`.
"""

import argparse

import keras
import numpy as np
from keras import layers as kl
from studies import ROOT, save, write

from keras_dlparts.layers import FeatureSpaceAugmentation, LayerNormGRU, Maxout

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
    """(what the decoder reads, what it should write), `(count, LENGTH + 1)` each.

    It writes the symbols backwards, then END, and reads the same one step late.
    """
    written = np.zeros((len(x), LENGTH + 1), x.dtype)
    for row, sequence in zip(written, x, strict=True):
        symbols = sequence[sequence > 0][::-1]
        row[: len(symbols) + 1] = [*symbols, END]
    return np.concatenate([np.full_like(x[:, :1], END), written[:, :-1]], 1), written


def encoder(units):
    x = keras.Input((LENGTH,), dtype="int32", name="x")
    embedded = kl.Embedding(SYMBOLS + 2, 16, mask_zero=True)(x)
    h = LayerNormGRU(units, reset_after=False)(embedded)
    return keras.Model(x, kl.Dense(units, activation="tanh", name="context")(h))


def decoder(units):
    c = keras.Input((units,), name="c")
    previous = keras.Input((LENGTH + 1,), dtype="int32", name="previous")
    embedded = kl.Embedding(SYMBOLS + 2, 16)(previous)
    everywhere = kl.RepeatVector(LENGTH + 1)(c)
    start = kl.Dense(units, activation="tanh")(c)
    gru = LayerNormGRU(units, reset_after=False, return_sequences=True)
    s = gru(kl.Concatenate()([embedded, everywhere]), initial_state=start)
    joined = kl.Concatenate()([s, embedded, everywhere])
    logits = kl.Dense(SYMBOLS + 2)(Maxout(units)(kl.Dense(2 * units)(joined)))
    return keras.Model([c, previous], logits)


def translator(units, strength, seed):
    """(the model that is trained, its encoder, its decoder)."""
    read, write = encoder(units), decoder(units)
    c = read.output
    if strength:
        c = FeatureSpaceAugmentation("noise", strength=strength, seed=seed)(c)
    previous = write.inputs[1]
    model = keras.Model([read.input, previous], write([c, previous]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0)
    model.compile(keras.optimizers.Adam(2e-3, clipnorm=1.0), loss)
    return model, read, write


def greedy(read, write, x):
    """The likeliest symbol at each step, given those written so far."""
    c = read.predict(x, batch_size=500, verbose=0)
    previous = np.zeros((len(x), LENGTH + 1), "int32")
    previous[:, 0] = END
    written = np.zeros_like(previous)
    over = np.zeros(len(x), bool)
    for t in range(LENGTH + 1):
        logits = write.predict([c, previous], batch_size=500, verbose=0)[:, t]
        written[:, t] = np.where(over, 0, logits[:, END:].argmax(-1) + END)
        over |= written[:, t] == END
        if t < LENGTH:
            previous[:, t + 1] = written[:, t]
    return written


def study(seeds, epochs, train, units):
    x, held_out = np.split(draw(train + 1000, 0), [train])
    previous, y = answers(x)
    _, wanted = answers(held_out)
    rows = []
    for strength in STRENGTHS:
        for seed in seeds:
            keras.utils.set_random_seed(seed)
            model, read, write = translator(units, strength, seed)
            history = model.fit(
                [x, previous], y, batch_size=64, epochs=epochs, verbose=0
            ).history
            written = greedy(read, write, held_out)
            right = (written == wanted).all(axis=1)
            trained = (greedy(read, write, x[:1000]) == y[:1000]).all(axis=1)
            rows.append(
                {
                    "strength": strength,
                    "seed": seed,
                    "loss": history["loss"],
                    "exact_match": float(right.mean()),
                    "exact_match_on_training_data": float(trained.mean(), flush=True),
                }
            )
            print(
                strength,
                seed,
                history["loss"][-1],
                right.mean(),
                trained.mean(),
                flush=True,
            )
    return rows


def picture(rows, path):
    """The exact matches by the strength of the noise."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, label, colour in (
        ("exact_match", "never seen", "#0072b2"),
        ("exact_match_on_training_data", "trained on", "#d55e00"),
    ):
        of = [(r["strength"], r[name]) for r in rows]
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
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--units", type=int, default=128)
    parser.add_argument("--out", type=type(ROOT), default=ROOT)
    asked = parser.parse_args()
    rows = study(asked.seeds, asked.epochs, asked.train, asked.units)
    seeds = " ".join(map(str, asked.seeds))
    command = f"python examples/encoder_decoder.py --seeds {seeds}"
    command += f" --epochs {asked.epochs} --train {asked.train} --units {asked.units}"
    write(asked.out / "benchmarks/results/encoder_decoder.json", command, rows)
    picture(rows, asked.out / "docs/figures/encoder_decoder.svg")


if __name__ == "__main__":
    main()
