"""Gibbs sampling of a small machine, looked at as the Markov chain that it is.

    python examples/gibbs_chain.py [--seed 0]

A restricted machine of 4 visible and 3 hidden units with random weights: the chances of
one Gibbs step between its 16 visible states; the chain's stationary distribution beside
the machine's own p(v) and the frequencies of samples; and how far a chain is from it
after so many steps, for the same weights times 1, 2 and 4: the stronger the weights,
the longer a chain remembers where it began.
Writes `docs/figures/gibbs_chain.svg`.
"""

import argparse
from pathlib import Path

import numpy as np
from keras import ops
from studies import ROOT, save

from keras_dlparts.analysis import gibbs_chain
from keras_dlparts.layers import RBM

VISIBLE, HIDDEN, SAMPLES = 4, 3, 5000
COLORS = {1: "#009e73", 2: "#0072b2", 4: "#d55e00"}


def machine(seed, scale):
    """A machine with random weights, a multiple of the same ones."""
    random = np.random.default_rng(seed)
    layer = RBM(HIDDEN, seed=seed)
    layer.build((None, VISIBLE))
    W = scale * random.normal(size=(VISIBLE, HIDDEN))
    layer.kernel.assign(W)
    # These biases make a state and its opposite alike, so that there are two modes.
    layer.visible_bias.assign(-W.sum(axis=1) / 2)
    layer.hidden_bias.assign(-W.sum(axis=0) / 2)
    return layer


def draw(seed, path):
    """The three panels; returns the mixing time of each multiple of the weights."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.6), layout="constrained")
    steps, chances, distances = figure.subplots(1, 3)
    layer = machine(seed, 2)
    chain = gibbs_chain(layer)
    image = steps.imshow(chain.transitions, cmap="viridis")
    figure.colorbar(image, ax=steps, shrink=0.8)
    ticks = {"xticks": range(0, 16, 5)}
    steps.set(xlabel="state after a step", ylabel="state before", **ticks)
    states = np.array(chain.states, "float32")
    p = np.exp(ops.convert_to_numpy(layer.log_likelihood(states)))
    v = ops.convert_to_numpy(layer.sample(SAMPLES, chain.mixing_time(0.001)))
    drawn = np.bincount((v @ 2 ** np.arange(VISIBLE)[::-1]).astype(int), minlength=16)
    numbers = np.arange(len(p))
    chances.bar(numbers, p, color="#bbbbbb", label="p(v) of the machine")
    chances.plot(numbers, chain.stationary(), "_", color="#d55e00", label="stationary")
    chances.plot(numbers, drawn / SAMPLES, ".", color="#0072b2", label="samples")
    chances.set(xlabel="visible state", ylabel="chance", **ticks)
    chances.legend(frameon=False)
    times = {}
    for scale, color in COLORS.items():
        chain = gibbs_chain(machine(seed, scale))
        times[scale] = chain.mixing_time()
        t = np.unique(np.geomspace(1, 1000, 60).astype(int))
        label = f"weights times {scale}: {times[scale]} steps to 1/4"
        far = [max(chain.distance(each), 1e-6) for each in t]
        distances.loglog(t, far, color=color, label=label)
    distances.axhline(0.25, color="gray", ls=":", lw=1)
    distances.set(xlabel="Gibbs steps", ylabel="distance to p(v)", ylim=(1e-4, 30))
    distances.legend(frameon=False, loc="upper right")
    save(figure, path)
    return times


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT)
    asked = parser.parse_args()
    print(draw(asked.seed, asked.out / "docs/figures/gibbs_chain.svg"))
