"""What a Hessian-vector product costs, in gradients of the same batch.

    python benchmarks/curvature.py [--pairs 21]

Pairs are interleaved in one process and compared pair by pair, so that whatever else
the machine does meets both.
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from measuring import seconds, spread, write

from keras_dlparts import backend
from keras_dlparts.layers import LayerNormLSTM
from keras_dlparts.models import MLP, ResNet

RANDOM = np.random.default_rng(0)


def cases():
    recurrent = [keras.Input((20, 16)), LayerNormLSTM(64), keras.layers.Dense(10)]
    return {
        "MLP 64-256-256-10, batch 256": (
            MLP((256, 256), 10, input_shape=(64,)),
            (256, 64),
        ),
        "ResNet-8, 16x16, batch 32": (ResNet(8, (16, 16, 3), 10), (32, 16, 16, 3)),
        "LayerNormLSTM(64), 20 steps, batch 32": (
            keras.Sequential(recurrent),
            (32, 20, 16),
        ),
    }


def cost(what, model, shape, pairs):
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batch = (
        RANDOM.normal(size=shape).astype("float32"),
        RANDOM.integers(0, 10, shape[0]),
    )
    vectors = [np.ones(v.shape, "float32") for v in model.trainable_variables]
    gradient = backend.gradient_function(model)
    curvature = backend.curvature_function(model)

    def finished(found):
        return keras.ops.convert_to_numpy(found[0])

    def one():
        finished(gradient(*batch))

    def other():
        finished(curvature(vectors, *batch))

    for run in (one, other, one, other):
        run()
    ratios = [1 / (seconds(one) / seconds(other)) for _ in range(pairs)]
    return {"what": f"product / gradient: {what}", "ratio": spread(ratios)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    rows = []
    for what, (model, shape) in cases().items():
        rows.append(cost(what, model, shape, asked.pairs))
        print(rows[-1], flush=True)
    write(rows, f"curvature_{backend.name()}", asked.out)


if __name__ == "__main__":
    main()
