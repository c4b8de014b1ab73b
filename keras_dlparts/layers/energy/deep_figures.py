"""What a deep Boltzmann machine shows of itself in a run's report.

filters, layer 1   the columns of W_1, as images where the visible units make squares
filters, layer 2   the columns of W_1 W_2: what a unit of h_2 asks of the visible ones
samples            means of v after one more Gibbs step of the persistent chains, or
                   after many from the biases where there are none
free energy        of training against validation, epoch by epoch, E(v, mu) - H(mu):
                   the gap between them is that of the bounds, for log Z is in both
"""

import contextlib

from keras import ops

from keras_dlparts.layers.energy.rbm_figures import free_energies, tiles

_SHOWN = 64
_STEPS = 500  # of samples, where there are no chains


def figures(machine, run):
    """{title: Figure}; nothing without weights or without matplotlib."""
    found = {}
    with contextlib.suppress(ImportError):
        if not machine.built:
            return {}
        first, second = map(ops.convert_to_numpy, machine.kernels[:2])
        found["Filters of layer 1"] = tiles(first.T[:_SHOWN], centred=True)
        both = first @ second[:, :_SHOWN]
        found["Filters of layer 2, in terms of the inputs"] = tiles(
            both.T, centred=True
        )
        found["Samples"] = tiles(_samples(machine), centred=False)
        gauge = free_energies(run.history)
        if gauge is not None:
            gauge.axes[0].set_ylabel("mean variational free energy")
            found["Free energy by epoch: -log Z less the bound"] = gauge
    return found


def _samples(machine):
    layer, count, start, steps = machine.restricted(), _SHOWN, None, _STEPS
    if machine.learns:
        chains, share = map(ops.convert_to_numpy, (machine.particles, machine.share))
        start, steps = (chains / share)[:count], 1
        count = len(start)
    means = layer.sample(count, steps, start, means=True)
    return ops.convert_to_numpy(means)[:, : machine.visible]
