"""Gibbs sampling of a Boltzmann machine with given weights.

    h ~ p(h given v), v ~ p(v given h), in turn; clamped units keep their values

Shapes: v (chains, visible), W (visible, hidden). Units: `boltzmann.py`.
"""

from keras import ops

from keras_dlparts import backend
from keras_dlparts.layers.energy import boltzmann


def gibbs(start, held, W, b, c, seed, steps, *, visible, hidden):
    """(v, E[v given h]) after `steps` Gibbs steps; NaN in `held` leaves a unit free."""
    free = ops.isnan(held)
    noises = (
        "uniform" if visible == "bernoulli" else "normal",
        "uniform" if hidden == "bernoulli" else "normal",
    )
    shapes = ops.shape(held), (ops.shape(held)[0], ops.shape(W)[1])

    def clamped(v):
        return ops.where(free, v, held)

    def body(i, state):
        x = boltzmann.to_hidden(state[0], W, c)
        drawn = backend.draw(noises[1], shapes[1], seed, 2 * i + 1)
        h = boltzmann.hidden_sample(x, drawn, hidden)
        y = boltzmann.to_visible(h, W, b)
        drawn = backend.draw(noises[0], shapes[0], seed, 2 * i + 2)
        v = boltzmann.visible_sample(y, drawn, visible)
        return clamped(v), clamped(boltzmann.visible_mean(y, visible))

    if start is None:
        drawn = backend.draw(noises[0], shapes[0], seed)
        start = boltzmann.visible_sample(
            b + ops.zeros(shapes[0], "float32"), drawn, visible
        )
    start = clamped(start)
    return ops.fori_loop(0, steps, body, (start, start))


compiled_gibbs = backend.compiled(gibbs, ("visible", "hidden"))
