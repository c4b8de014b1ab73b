"""ResNet-20 against the same net written by hand, GradientFlow's cost, build times.

    python benchmarks/residual.py [--pairs 15] [--batch 32] [--deep]

Pairs are interleaved in one process and compared pair by pair, so that whatever else
the machine does meets both. `--deep` adds a training step of depth 1001, batch 8.
"""

import argparse
import resource
import statistics
from pathlib import Path

import keras
import numpy as np
from keras import layers as kl
from measuring import seconds, spread, write

from keras_dlparts.callbacks import GradientFlow
from keras_dlparts.models import ResNet

STEPS = 4  # a timing


def by_hand(depth=20):
    """ResNet-20, option A, in Keras' functional style and nothing of ours."""

    def conv_norm(x, filters, size=3, strides=1):
        x = kl.Conv2D(
            filters,
            size,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
        )(x)
        return kl.BatchNormalization()(x)

    x = inputs = keras.Input((32, 32, 3))
    x = kl.ReLU()(conv_norm(x, 16))
    for stage in range(3):
        for i in range((depth - 2) // 6):
            filters, strides = 16 * 2**stage, 2 if stage and not i else 1
            f = conv_norm(x, filters, strides=strides)
            f = conv_norm(kl.ReLU()(f), filters)
            if strides > 1:
                x = keras.ops.pad(
                    x[:, ::2, ::2, :], [[0, 0], [0, 0], [0, 0], [0, filters // 2]]
                )
            x = kl.ReLU()(kl.Add()([x, f]))
    x = kl.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, kl.Dense(10)(x))


def batches(batch, count):
    random = np.random.default_rng(0)
    x = random.normal(size=(batch * count, 32, 32, 3)).astype("float32")
    return x, random.integers(0, 10, batch * count)


def compiled(model):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)
    return model


def step_ratio(pairs, batch):
    """Our step's time over the hand-written one's."""
    x, y = batches(batch, STEPS)
    ours, theirs = compiled(ResNet(20)), compiled(by_hand())
    count = [sum(int(np.prod(w.shape)) for w in m.weights) for m in (ours, theirs)]
    if count[0] != count[1]:
        raise ValueError(f"The nets differ in size. Received: {count}")

    def steps(model):
        def run():
            model.fit(x, y, batch_size=batch, verbose=0, shuffle=False)

        return run

    for model in (ours, theirs):
        steps(model)()
    ratios, times = [], []
    for i in range(pairs):
        order = (ours, theirs) if i % 2 else (theirs, ours)
        took = {id(model): seconds(steps(model)) for model in order}
        ratios.append(took[id(ours)] / took[id(theirs)])
        times.append(took[id(ours)] / STEPS)
    return {
        "what": f"training step of ResNet-20, batch {batch}: ours / by hand",
        "ratio": spread(ratios),
        "our_seconds_a_step": statistics.median(times),
    }


def flow_cost(pairs, batch):
    """A measurement's time over a step's, and so its share at the default N."""
    x, y = batches(batch, 1)
    model = compiled(ResNet(20))
    flow = GradientFlow(data=(x, y))
    flow.set_model(model)
    flow.on_train_begin()

    def measure():
        flow.next = 0
        flow.on_train_batch_begin(0)

    def step():
        model.train_on_batch(x, y)

    for run in (step, measure, step, measure):
        run()
    ratios = [seconds(measure) / seconds(step) for _ in range(pairs)]
    every = flow.every
    return {
        "what": f"GradientFlow on ResNet-20, batch {batch}: a measurement / a step",
        "ratio": spread(ratios),
        "every": every,
        "share_of_training": statistics.median(ratios) / every,
    }


def build_times():
    """Seconds to build, depth by depth."""
    nets = {
        "ResNet-20": lambda: ResNet(20),
        "ResNet-20 by hand": by_hand,
        "ResNet-110": lambda: ResNet(110),
        "ResNet-1001": lambda: ResNet(1001, order="full_preactivation"),
    }
    return [{"what": f"build {name}", "seconds": seconds(nets[name])} for name in nets]


def deep_step(remat):
    """One training step of depth 1001, batch 8: seconds and the process' peak."""
    x, y = batches(8, 1)
    model = compiled(ResNet(1001, order="full_preactivation", remat=remat))

    def first_step():
        # Else TensorFlow makes the optimizer's variables while it traces the step, and
        # traces it once more.
        model.optimizer.build(model.trainable_variables)
        model.train_on_batch(x, y)

    first = seconds(first_step)
    second = seconds(lambda: model.train_on_batch(x, y))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "what": f"training step of ResNet-1001, batch 8, remat={remat}",
        "first_step_seconds": first,
        "step_seconds": second,
        "peak_gib": peak,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--remat", action="store_true")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.deep:
        rows, name = [deep_step(asked.remat)], "residual_deep"
        name += "_remat" if asked.remat else ""
    else:
        rows = build_times()
        rows += [f(asked.pairs, asked.batch) for f in (step_ratio, flow_cost)]
        name = "residual"
    if keras.backend.backend() != "tensorflow":
        name += f"_{keras.backend.backend()}"
    for row in rows:
        print(row)
    write(rows, name, asked.out)


if __name__ == "__main__":
    main()
