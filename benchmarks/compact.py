"""`predict` before and after `compact`, of a net that keeps one weight in 80.

    KERAS_BACKEND=jax python benchmarks/compact.py --images FOLDER [--seed 0]

FOLDER holds MNIST in its own format. LeNet-300-100 is trained as the claim `sparsity`
does, with `SparsityTarget(0.0125)`. Then `strip` of it, `compact` of it, and a net of
nothing but ten linear outputs take turns to predict the test images in batches of 256.
The last is what `predict` takes for a net without any hidden unit: its ratio is the
bound for what taking out units can gain.
"""

import argparse
import functools
from pathlib import Path

import keras
import numpy as np
from measuring import pairwise, seconds, write

from examples.claims.sparsity.run import trained
from keras_dlparts import compact, strip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    keras.utils.set_random_seed(asked.seed)
    net = {"widths": (300, 100), "method": "target", "setting": 0.0125}
    fit = {"rate": 0.002, "noise": 0.3, "epochs": asked.epochs, "batch_size": 100}
    model, x, y = trained(asked.seed, asked.images, **net, **fit)
    linear = [keras.Input(x.shape[1:]), keras.layers.Flatten(), keras.layers.Dense(10)]
    sides = {
        "whole": strip(model),
        "compact": compact(model),
        "linear": keras.Sequential(linear),
    }

    def predicted(name):
        return sides[name].predict(x, batch_size=256, verbose=0)

    found = {name: predicted(name) for name in sides}
    took = {name: [] for name in sides}
    for _ in range(asked.rounds):
        for name in sides:
            took[name].append(seconds(functools.partial(predicted, name)))
    dense = [one for one in sides["compact"].layers if hasattr(one, "units")]
    rows = [
        {
            "what": f"whole / {name}",
            "ratio": pairwise(took["whole"], took[name]),
            "error": 100 * float((found[name].argmax(-1) != y).mean()),
            "parameters": sides[name].count_params(),
        }
        for name in ("whole", "compact")
    ]
    rows[1]["units"] = [layer.units for layer in dense]
    rows[1]["difference"] = float(np.abs(found["whole"] - found["compact"]).max())
    ratio = pairwise(took["whole"], took["linear"])
    rows.append({"what": "whole / linear", "ratio": ratio})
    print(*rows, sep="\n")
    write(rows, "compact", asked.out)


if __name__ == "__main__":
    main()
