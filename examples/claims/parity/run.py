"""Parity of d bits: coefficients of a machine of local templates, and of other nets.

A machine of Gaussians of one width learns all patterns of d bits, which tells how many
coefficients it needs, and then half of them, which tells what it says of the others.
The tree is that of d - 1 exclusive ors of two bits, xor(a, b) = relu(a + b)
- 2 relu(a + b - 1), of 7 weights each. The recurrent net learns the same half, number
by number from the short ones on.
"""

import keras
import numpy as np
from sklearn.svm import SVC

from keras_dlparts.models import KernelMachine as KerasMachine
from keras_dlparts.sklearn import KernelMachine

WIDTH = 0.5  # of the Gaussians; a bit is 0 or 1
C = 1e3  # nearly no slack
UNITS = 8  # of the recurrent net
BEFORE = -1.0  # stands before a sequence that is shorter than others of its batch


def run(seed, data, machine, bits, most=30):
    if machine == "recurrent":
        return recurrent(seed, bits, most)
    sizes = range(2, bits + 1)
    found = {"bits": [*sizes], "by_bits": [MACHINES[machine](d) for d in sizes]}
    found["coefficients"] = found["by_bits"][-1]
    if machine in ("hinge", "ridge"):
        learn, test = (patterns(half, bits) for half in split(bits, seed))
        own = KernelMachine(width=WIDTH, C=C, loss=machine).fit(*learn)
        found["held_out_error"] = 100 * float((own.predict(test[0]) != test[1]).mean())
    return found


def patterns(numbers, d):
    """Numbers as rows of d bits, the largest first, and whether their sum is odd."""
    x = (np.asarray(numbers)[:, None] >> np.arange(d)[::-1] & 1).astype("float32")
    return x, x.sum(axis=1).astype(int) % 2


def split(bits, seed):
    """(numbers to learn, numbers held out)."""
    numbers = np.random.default_rng(seed).permutation(2**bits)
    return np.sort(numbers[: 2 ** (bits - 1)]), np.sort(numbers[2 ** (bits - 1) :])


def checked(machine, right, d):
    """An error where a machine that is counted does not compute parity."""
    if not right.all():
        wrong = int((~right).sum())
        raise ValueError(
            f"{machine} errs on {wrong} of the {2**d} patterns of {d} bits"
        )


def of_library(d):
    x, odd = patterns(range(2**d), d)
    machine = SVC(gamma=1 / (2 * WIDTH**2), C=C).fit(x, odd)
    checked("SVC", machine.predict(x) == odd, d)
    return int(machine.n_support_.sum())


def of_ours(loss, d):
    x, odd = patterns(range(2**d), d)
    machine = KernelMachine(width=WIDTH, C=C, loss=loss).fit(x, odd)
    checked("KernelMachine", machine.predict(x) == odd, d)
    return int(machine.n_support_)


def of_even_templates(d):
    """Templates that are the even patterns, with equal coefficients.

    sum_j exp(-|x - x_j|^2 / 2) over all patterns with the sign of x_j's parity is
    (1 - exp(-1/2))^d times that of x, so the even ones alone give two values.
    """
    x, odd = patterns(range(2**d), d)
    model = KerasMachine(2 ** (d - 1), outputs=1, width=WIDTH, input_shape=(d,))
    basis, dense = model.layers[-2:]
    basis.set_weights([x[odd == 0], np.full((1, 1), np.log(WIDTH))])
    q = np.exp(-0.5 / WIDTH**2)
    low, high = ((1 + q) ** d + (1 - q) ** d) / 2, ((1 + q) ** d - (1 - q) ** d) / 2
    scale = 2 / (high - low)  # -1 for even patterns and 1 for odd ones
    a = np.full((2 ** (d - 1), 1), scale)
    dense.set_weights([a, np.array([-scale * (high + low) / 2])])
    checked("it", (model.predict_on_batch(x)[:, 0] > 0) == odd, d)
    return int((dense.get_weights()[0] != 0).sum())


MACHINES = {
    "svc": of_library,
    "hinge": lambda d: of_ours("hinge", d),
    "ridge": lambda d: of_ours("ridge", d),
    "even templates": of_even_templates,
    "tree": lambda d: 7 * (d - 1),
    "bound": lambda d: 2 ** (d - 1),
}


def recurrent(seed, bits, most):
    """A net that learns numbers below 8, then below 16, ..., its weights and errors.

    An epoch is 512 numbers, repeated where there are fewer. Each has as many zeros
    before it as chance says, up to `bits` bits.
    """
    layers = [
        keras.Input((None, 1)),
        keras.layers.Masking(BEFORE),
        keras.layers.GRU(UNITS),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential(layers)
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, steps_per_execution=16)
    random = np.random.default_rng(seed)
    numbers, others = split(bits, seed)
    epochs = 0
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
            x, y = x[..., None], odd[:, None]
            history = model.fit(x, y, batch_size=32, epochs=5, verbose=0)
            epochs += 5
            if history.history["loss"][-1] < enough:
                break
    x, odd = patterns(others, bits)
    wrong = (model.predict_on_batch(x[..., None])[:, 0] > 0) != odd
    longer = np.random.default_rng(1).integers(0, 2, (1000, 4 * bits))
    answers = model.predict_on_batch(longer[..., None].astype("float32"))[:, 0] > 0
    return {
        "coefficients": model.count_params(),
        "held_out_error": 100 * float(wrong.mean()),
        "error_of_longer": 100 * float((answers != longer.sum(axis=1) % 2).mean()),
        "epochs": epochs,
    }


def draw(figure, rows):
    """Coefficients over the number of bits, and errors on what was held out."""
    figure.set_size_inches(10, 3.8)
    sizes, errors = figure.subplots(1, 2)
    ways = list(dict.fromkeys(row["way"] for row in rows))
    for row in rows:
        colour = f"C{ways.index(row['way'])}"
        label = row["way"] if row["seed"] == rows[0]["seed"] else None
        if "by_bits" in row:
            sizes.plot(row["bits"], row["by_bits"], ".-", color=colour, label=label)
        else:
            sizes.axhline(row["coefficients"], color=colour, label=label)
    sizes.set(yscale="log", xlabel="bits d", ylabel="coefficients, or weights")
    shown = [
        way
        for way in ways
        if any("held_out_error" in r for r in rows if r["way"] == way)
    ]
    for row in rows:
        if "held_out_error" in row:
            errors.plot(
                row["held_out_error"], shown.index(row["way"]), "o", color="#0072b2"
            )
    errors.axvline(50, color="gray", ls=":")
    errors.set_yticks(range(len(shown)), shown)
    errors.set(xlabel="error on the held-out half, %", xlim=(-3, 103))
    figure.legend(loc="outside right", frameon=False, fontsize=8)
