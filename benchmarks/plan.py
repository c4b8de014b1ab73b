"""What the models of the examples would put on the wire, by `keras_dlparts.plan`.

    python benchmarks/plan.py [--replicas 8]

Arithmetic: nothing is trained or timed. The models are those of the papers, and some of
`examples/`; the batch is the one they are trained with.
"""

import argparse
from pathlib import Path

from measuring import write

from keras_dlparts import plan

CLASSES = {"use": "SparseCategoricalCrossentropy", "from_logits": True}


def sequence(layer, units, steps=100, features=64):
    return [
        {"use": "Input", "shape": [steps, features]},
        {"use": layer, "units": units},
        {"use": "Dense", "units": 10},
    ]


def net(model, optimizer="Adam"):
    return {"model": model, "loss": CLASSES, "optimizer": optimizer}


MOMENTUM = {"use": "SGD", "momentum": 0.9}
IMAGENET = {"input_shape": [224, 224, 3], "classes": 1000, "layout": "imagenet"}
MODELS = {
    "MLP 784-256-256-10": net({"use": "MLP", "input_shape": [784]}),
    "ResNet-20": net({"use": "ResNet", "depth": 20}, MOMENTUM),
    "ResNet-110": net({"use": "ResNet", "depth": 110}, MOMENTUM),
    "ResNet-50, ImageNet": net({"use": "ResNet", "depth": 50, **IMAGENET}, MOMENTUM),
    "LayerNormLSTM 512": net(sequence("LayerNormLSTM", 512)),
    "LayerNormGRU 512": net(sequence("LayerNormGRU", 512)),
    "RBM 784-512": {
        "model": [{"use": "Input", "shape": [784]}, {"use": "RBM", "units": 512}],
        "optimizer": MOMENTUM,
    },
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = []
    for name, config in MODELS.items():
        found = plan(config, replicas=asked.replicas)
        del found["name"], found["activations"]
        rows.append({"model": name, **found})
        milliseconds = [1000 * s for s in found["seconds_per_step"].values()]
        print(
            f"{name:<22}{found['parameters']:>12,}"
            f"{found['wire_bytes_per_step'] / 1e6:>10.3g} MB",
            *(f"{ms:>9.3g} ms" for ms in milliseconds),
        )
    write(rows, "plan", asked.out)


if __name__ == "__main__":
    main()
