"""Restricted Boltzmann machines on handwritten digits: features, and few labels.

    python examples/rbm_digits.py [--seeds 0 1 2] [--only features|labels]

`features`: the digits and four shifted copies of each, as in scikit-learn's example;
`rbm.yaml` learns them, and a logistic regression reads its features. The example splits
after shifting, so that copies of one image are on both sides; the rows say "mixed" for
that, and "apart" where the images were split first.
`labels`: `dbn.yaml` with 1 %, 10 % and 100 % of the labels, with and without
pre-training, which sees all images. They write `benchmarks/results/rbm_features.json`
and `rbm_labels.json`.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from studies import ROOT, write

import keras_dlparts
from keras_dlparts.config.assemble import assemble
from keras_dlparts.config.experiment import load
from keras_dlparts.config.read import read
from keras_dlparts.data.batches import Batches
from keras_dlparts.training import chunks, pretraining

HERE = Path(__file__).resolve().parent
_BATCH, _ROWS = 50, 50 * 800  # of fine-tuning: 800 steps


def shifted(images):
    """Each 8 x 8 image and its copies one pixel to each side."""
    moves = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    padded = np.pad(images.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    return np.concatenate(
        [padded[:, 1 + i : 9 + i, 1 + j : 9 + j].reshape(-1, 64) for i, j in moves]
    )


def features(epochs, apart, folder):
    """Test accuracy of a logistic regression on raw pixels and on RBM features."""
    from sklearn.datasets import load_digits
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype("float32")
    options = {"test_size": 0.2, "random_state": 0}
    if apart:
        *images, y_train, y_test = train_test_split(x, y, **options)
        x_train, x_test = map(shifted, images)
        y_train, y_test = np.tile(y_train, 5), np.tile(y_test, 5)
    else:
        split = train_test_split(shifted(x), np.tile(y, 5), **options)
        x_train, x_test, y_train, y_test = split
    path = Path(folder) / "shifted.npz"
    np.savez(path, x_train=x_train, x_test=x_test)
    data = {"use": "npz", "path": str(path), "y": None, "batch_size": 10}
    config = {**read(HERE / "rbm.yaml").values, "data": data}
    sets = [f"fit.epochs={epochs}"]
    run = keras_dlparts.train(config, sets, out=Path(folder) / "runs")
    layer = keras_dlparts.load_model(run.path / "last.keras").layers[-1]
    scores = {}
    for name, of in (("raw pixels", np.asarray), ("RBM features", layer)):
        # The example's solver and regularisations, and a tolerance that ends well.
        c = 6000 if of is layer else 100
        regression = LogisticRegression(C=c, solver="newton-cg", tol=1e-4)
        regression.fit(np.asarray(of(x_train)), y_train)
        scores[name] = regression.score(np.asarray(of(x_test)), y_test)
    best = max(run.history["val_pseudo_likelihood"])
    return {
        "what": "logistic regression on the shifted digits, test accuracy",
        "split": "apart" if apart else "mixed",
        "epochs": epochs,
        "pseudo_likelihood": best,
        **scores,
    }


def with_labels(share, pretrain, seed, folder):
    """Test accuracy of dbn.yaml's net, fine-tuned on a share of the labels."""
    experiment = load(HERE / "dbn.yaml", [f"seed={seed}", f"data.seed={seed}"])
    made = assemble(experiment)
    settings, data, model = experiment.settings, made.data, made.model
    x, y = data.train.arrays()
    if pretrain:
        path = Path(folder) / f"dbn-{share}-{seed}"
        (path / "checkpoints").mkdir(parents=True)
        pretraining.run(settings, made, path, lambda line: None)
    # The same number of each class, as far as it goes; at least one.
    random = np.random.default_rng(seed)
    chosen = np.concatenate(
        [
            random.permutation(np.flatnonzero(y == label))[
                : max(1, round(share * np.sum(y == label)))
            ]
            for label in range(10)
        ]
    )
    # The same number of steps for each share, so that none learns longer.
    orders = [random.permutation(chosen) for _ in range(-(-_ROWS // len(chosen)))]
    rows = np.concatenate(orders)[:_ROWS]
    batches = Batches(x[rows], y[rows], batch_size=_BATCH)
    ready = chunks.prepared(model, batches, chunks.steps_a_call(model, batches))
    model.fit(ready, shuffle=False, verbose=0)
    return model.evaluate(data.test, verbose=0, return_dict=True)["accuracy"]


def labels(seeds, folder):
    rows = []
    for share in (0.01, 0.1, 1.0):
        for pretrain in (False, True):
            found = [with_labels(share, pretrain, seed, folder) for seed in seeds]
            rows.append(
                {
                    "what": "DBN 64-256-128-10 on the digits, test accuracy",
                    "labels": share,
                    "pretrained": pretrain,
                    "accuracy": found,
                    "mean": statistics.mean(found),
                }
            )
            print(rows[-1], flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--only", choices=["features", "labels"])
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        if asked.only != "labels":
            found["features"] = []
            for apart in (False, True):
                found["features"].append(features(asked.epochs, apart, folder))
                print(found["features"][-1], flush=True)
        if asked.only != "features":
            found["labels"] = labels(asked.seeds, folder)
    options = {
        "features": f"--epochs {asked.epochs}",
        "labels": f"--seeds {' '.join(map(str, asked.seeds))}",
    }
    for name, rows in found.items():
        command = f"python examples/rbm_digits.py --only {name} {options[name]}"
        write(asked.out / f"benchmarks/results/rbm_{name}.json", command, rows)


if __name__ == "__main__":
    main()
