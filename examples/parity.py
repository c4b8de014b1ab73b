"""Parity: what local templates pay for it, and what depth and recurrence do.

    python examples/parity.py [--bits 10] [--seeds 3 4 5]

A machine of Gaussians of one width, whose templates are patterns of d bits, needs at
least 2^(d-1) coefficients that are not 0 to tell odd from even (Bengio, Delalleau & Le
Roux 2006). For d = 2 ... bits it is counted how many these are for scikit-learn's `SVC`
and for `KernelMachine` with hinge and ridge, all trained on all patterns, and for a
machine whose templates are the even patterns alone, all with the same coefficient: it
meets the bound.
Beside them the weights of the tree of d - 1 exclusive ors, 7 each,

    xor(a, b) = relu(a + b) - 2 relu(a + b - 1)

and of a recurrent net, which are the same for all d. For each seed half of the numbers
below 2^bits are held out. The machine of d bits learns the others below 2^d, the
recurrent net all others, as sequences of bits; both are tested on those held out below
2^d.
Writes `benchmarks/results/parity.json` and `docs/figures/parity.svg`.
"""

import argparse
import json
from pathlib import Path

import keras
import numpy as np
from sklearn.svm import SVC
from studies import ROOT, save, write

from keras_dlparts.models import KernelMachine as KerasMachine
from keras_dlparts.sklearn import KernelMachine

WIDTH = 0.5  # of the Gaussians; a bit is 0 or 1
C = 1e3  # nearly no slack
UNITS = 8  # of the recurrent net
BEFORE = -1.0  # stands before a sequence that is shorter than others of its batch


def patterns(numbers, d):
    """Numbers as rows of d bits, the largest first, and whether their sum is odd."""
    x = (np.asarray(numbers)[:, None] >> np.arange(d)[::-1] & 1).astype("float32")
    return x, x.sum(axis=1).astype(int) % 2


def even_templates(d):
    """A machine of the even patterns with equal coefficients, as a Keras model.

    sum_j exp(-|x - x_j|^2 / 2) over all patterns with the sign of x_j's parity is
    (1 - exp(-1/2))^d times that of x, so the even ones alone give two values.
    """
    x, odd = patterns(range(2**d), d)
    model = KerasMachine(2 ** (d - 1), outputs=1, width=WIDTH, input_shape=(d,))
    basis, dense = model.layers[-2:]
    basis.set_weights([x[odd == 0], np.full((1, 1), np.log(WIDTH))])
    q = np.exp(-0.5 / WIDTH**2)
    even, odd = ((1 + q) ** d + (1 - q) ** d) / 2, ((1 + q) ** d - (1 - q) ** d) / 2
    scale = 2 / (odd - even)  # -1 for even patterns and 1 for odd ones
    a = np.full((2 ** (d - 1), 1), scale)
    dense.set_weights([a, np.array([-scale * (odd + even) / 2])])
    return model


def counted(d):
    """How many coefficients each machine of d bits has that are not 0."""
    x, odd = patterns(range(2**d), d)
    svc = SVC(gamma=1 / (2 * WIDTH**2), C=C).fit(x, odd)
    hinge = KernelMachine(width=WIDTH, C=C).fit(x, odd)
    ridge = KernelMachine(width=WIDTH, C=C, loss="ridge").fit(x, odd)
    even = even_templates(d)
    right = [machine.predict(x) for machine in (svc, hinge, ridge)]
    right.append(even.predict_on_batch(x)[:, 0] > 0)
    return {
        "bits": d,
        "bound": 2 ** (d - 1),
        "svc": int(svc.n_support_.sum()),
        "hinge": hinge.n_support_,
        "ridge": ridge.n_support_,
        "even_templates": int((even.layers[-1].get_weights()[0] != 0).sum()),
        "circuit_weights": 7 * (d - 1),
        "errors": [int((np.asarray(each) != odd).sum()) for each in right],
    }


def split(bits, seed):
    """(numbers to learn, numbers held out)."""
    numbers = np.random.default_rng(seed).permutation(2**bits)
    return np.sort(numbers[: 2 ** (bits - 1)]), np.sort(numbers[2 ** (bits - 1) :])


def recurrent(seed):
    keras.utils.set_random_seed(seed)
    layers = [
        keras.Input((None, 1)),
        keras.layers.Masking(BEFORE),
        keras.layers.GRU(UNITS),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential(layers)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, steps_per_execution=16)
    return model


def learnt(seed, bits, most=30):
    """(a recurrent net, its epochs): it learns numbers below 8, then below 16, ...

    An epoch is 512 numbers, repeated where there are fewer. Each has as many zeros
    before it as chance says, up to `bits` bits.
    """
    random = np.random.default_rng(seed)
    model, epochs = recurrent(seed), 0
    numbers, _ = split(bits, seed)
    for d in range(3, bits + 1):
        few = numbers[numbers < 2**d]
        if not len(few):
            continue
        enough = 0.02 if d < bits else 0.001
        for _ in range(most):
            x, odd = patterns(np.resize(few, 512), bits)
            ones = np.where(x.any(axis=1), x.argmax(axis=1), bits - 1)
            start = random.integers(0, ones + 1)
            x = np.where(np.arange(bits) < start[:, None], BEFORE, x)
            history = model.fit(
                x[..., None], odd[:, None], batch_size=32, epochs=5, verbose=0
            )
            epochs += 5
            if history.history["loss"][-1] < enough:
                break
        print(seed, d, epochs, history.history["loss"][-1], flush=True)
    return model, epochs


def held_out(seed, bits):
    """Test errors in per cent over d, of kernel machines and of the recurrent net."""
    learn, test = split(bits, seed)
    model, epochs = learnt(seed, bits)
    found = {"seed": seed, "epochs": epochs, "recurrent_weights": model.count_params()}
    found |= {"bits": [], "learnt": [], "tested": [], "machine": [], "recurrent": []}
    for d in range(4, bits + 1):
        x, odd = patterns(learn[learn < 2**d], d)
        x_test, odd_test = patterns(test[test < 2**d], d)
        machine = KernelMachine(width=WIDTH, C=C).fit(x, odd)
        answers = model.predict_on_batch(x_test[..., None])[:, 0] > 0
        found["bits"].append(d)
        found["learnt"].append(len(x))
        found["tested"].append(len(x_test))
        found["machine"].append(100 * (machine.predict(x_test) != odd_test).mean())
        found["recurrent"].append(100 * (answers != odd_test).mean())
    longer = np.random.default_rng(1).integers(0, 2, (1000, 4 * bits))
    answers = model.predict_on_batch(longer[..., None].astype("float32"))[:, 0] > 0
    wrong = answers != longer.sum(axis=1) % 2
    return {**found, "recurrent_of_four_times_the_bits": 100 * wrong.mean()}


def draw(rows, path):
    """Coefficients and weights over d; errors on patterns held out over d."""
    from matplotlib.figure import Figure

    counts = [row for row in rows if "bound" in row]
    tests = [row for row in rows if "seed" in row]
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    sizes, errors = figure.subplots(1, 2)
    d = [row["bits"] for row in counts]
    for key, label, color, form in (
        ("ridge", "KernelMachine, ridge", "#d55e00", "s-"),
        ("svc", "SVC, and KernelMachine with hinge", "#e69f00", "o-"),
        ("even_templates", "even templates only", "#cc79a7", "v-"),
        ("bound", "bound $2^{d-1}$", "black", ":"),
        ("circuit_weights", "tree of $d - 1$ xors", "#0072b2", "^-"),
    ):
        found = [row[key] for row in counts]
        sizes.plot(d, found, form, color=color, label=label, ms=4, lw=1.2)
    weights = tests[0]["recurrent_weights"]
    sizes.axhline(weights, color="#009e73", lw=1.2, label="recurrent net, any length")
    sizes.set(yscale="log", xlabel="bits d", ylabel="coefficients, or weights")
    sizes.set_ylim(1, None)
    sizes.legend(frameon=False, fontsize=7)
    for row in tests:
        for key, color in (("machine", "#e69f00"), ("recurrent", "#009e73")):
            label = {"machine": "KernelMachine", "recurrent": "recurrent net"}[key]
            label = label if row is tests[0] else None
            errors.plot(row["bits"], row[key], color=color, lw=1, label=label)
    errors.axhline(50, color="gray", ls=":", lw=1)
    errors.set(xlabel="bits d", ylabel="error on patterns held out, %", ylim=(-3, 103))
    errors.legend(frameon=False, loc="center right")
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bits", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    path = asked.out / "benchmarks/results/parity.json"
    seeds = " ".join(map(str, asked.seeds))
    command = f"python examples/parity.py --bits {asked.bits} --seeds {seeds}"
    rows = [counted(d) for d in range(2, asked.bits + 1)]
    print(json.dumps(rows[-1]), flush=True)
    for seed in asked.seeds:
        rows.append(held_out(seed, asked.bits))
        print(json.dumps(rows[-1], default=float), flush=True)
        write(path, command, rows)
    draw(json.loads(path.read_text())["rows"], asked.out / "docs/figures/parity.svg")


if __name__ == "__main__":
    main()
