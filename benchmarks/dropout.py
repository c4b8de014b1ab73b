"""What Monte-Carlo passes cost, against the loop that one would write.

    python benchmarks/dropout.py [--pairs 9]

Times `monte_carlo` and a loop over `model(x, training=True)`, in pairs. What the passes
are good for is a claim: `python -m examples.claims monte_carlo_dropout`.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers as kl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
from studies import ROOT, write

import keras_dlparts


def net(units=512):
    hidden = []
    for _ in range(2):
        hidden += [kl.Dense(units, "relu"), kl.Dropout(0.4)]
    return keras.Sequential([keras.Input((784,)), *hidden, kl.Dense(10)])


def cost(pairs, samples=50):
    """Seconds of monte_carlo, all in, over those of the loop one would write."""
    x = np.random.default_rng(0).normal(size=(2000, 784)).astype("float32")
    model = net()

    def ours():
        keras_dlparts.monte_carlo(model, x, samples, batch_size=500, verbose=False)

    def loop():
        for i in range(0, 2000, 500):
            batch = x[i : i + 500]
            passes = [model(batch, training=True) for _ in range(samples)]
            np.std([keras.ops.convert_to_numpy(y) for y in passes], axis=0)

    ratios, times = [], []
    for i in range(pairs + 1):
        took = {}
        for run in (ours, loop) if i % 2 else (loop, ours):
            start = time.perf_counter()
            run()
            took[run] = time.perf_counter() - start
        ratios.append(took[ours] / took[loop])
        times.append(took[ours])
    low, middle, high = statistics.quantiles(ratios[1:], n=4)
    yield {
        "what": f"{samples} passes over 2000 samples: monte_carlo, its tracing included"
        " / a loop over model(x, training=True)",
        "ratio": {"median": middle, "quartiles": [low, high], "pairs": pairs},
        "our_seconds": statistics.median(times[1:]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results")
    asked = parser.parse_args()
    rows = [*cost(asked.pairs)]
    print(rows)
    path = asked.out / f"dropout_cost_{keras.backend.backend()}.json"
    write(path, f"python benchmarks/dropout.py --pairs {asked.pairs}", rows)


if __name__ == "__main__":
    main()
