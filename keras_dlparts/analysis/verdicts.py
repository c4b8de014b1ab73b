"""What a report on signals says in words: what stands out, and the remedy.

A layer is blamed where its factor for the gradient is an outlier among those of the net
and most of the gradient passes through it; the whole net where the factors multiply to
much more or less than 1. Pooling shrinks gradients in every net and is not counted.
"""

import math

import numpy as np

from keras_dlparts.initializers.gaussian_means import critical, tabulated

# Factors that no layer of a net that trains has, if the others do not.
_OUTLIER = math.log(3)
_FAR = 5.0
# The most and the least that a net may multiply the gradient by in all.
_WHOLE = 1e3


def verdicts(signals):
    """Sentences about a list of `Signal`, the most important first."""
    found = [*_not_finite(signals)]
    if found:
        return found
    found += _layers(signals)
    found += _whole(signals)
    found += _recurrent(signals)
    found += _flat(signals)
    found += _inputs(signals)
    return found or ["Nothing stands out: signals and gradients reach every layer."]


def _not_finite(signals):
    for signal in signals:
        if signal.seen and not math.isfinite(signal.variance):
            yield (
                f"{signal.name} gives values that are not finite. Its weights or its "
                "inputs are too large: scale the data, and see `lsuv`."
            )
            return


def _counted(signals):
    """Those whose factor multiplies with the others' along the net."""
    return [
        s
        for s in signals
        if s.multiplier is not None
        and math.isfinite(s.multiplier)
        and s.share > 0.5
        and "Pooling" not in s.kind
        and "Padding" not in s.kind
    ]


def _layers(signals):
    # A normalisation's factor is the inverse of its input's size, which is no fault of
    # its own; that of a recurrent layer is judged by its steps; softmax shrinks all.
    counted = [
        s
        for s in _counted(signals)
        if "Normalization" not in s.kind
        and s.steps == 1
        and getattr(s.activation, "__name__", "") != "softmax"
    ]
    logs = np.array([math.log(max(s.multiplier, 1e-30)) for s in counted])
    if len(logs) < 2:
        return
    middle = float(np.median(logs))
    for signal, log in zip(counted, logs, strict=True):
        if abs(log - middle) < _OUTLIER or 1 / _FAR < signal.multiplier < _FAR:
            continue
        # A normalisation behind or before a layer takes its scale back.
        if _made_good(signals, signal):
            continue
        others = math.exp(middle)
        text = f"{signal.name} multiplies the gradient by {signal.multiplier:.2g}"
        yield f"{text}: the others by {others:.2g} in the median. {_remedy(signal)}"


def _made_good(signals, signal):
    """Whether the next layer's factor is the inverse, as a normalisation's is."""
    i = signals.index(signal)
    for near in signals[max(0, i - 2) : i + 3]:
        if near is not signal and "Normalization" in near.kind and near.multiplier:
            both = near.multiplier * signal.multiplier
            if 1 / _FAR < both < _FAR:
                return True
    return False


def _remedy(signal):
    if signal.dead > 0.5:
        return (
            f"{signal.dead:.0%} of its units are dead: draw its weights anew, or give "
            "it an activation with a slope on both sides (LeakyReLU, ELU)."
        )
    if signal.saturated is not None and signal.saturated > 0.5:
        return (
            f"{signal.saturated:.0%} of its pre-activations are saturated, with "
            f"variance {signal.variance:.2g}: smaller weights, as of `lsuv(model, x)`."
        )
    if signal.weight_variance is not None:
        wanted = _wanted(signal)
        own = f"n_in times the variance of its weights is {signal.weight_variance:.2g}"
        if wanted is not None:
            name, value = wanted
            return (
                f'{own}, and {name} wants {value:.3g}: `Critical("{name}")`, or `lsuv`.'
            )
        return f"{own}: draw them anew, or scale them by `lsuv(model, x)`."
    return "Normalise its input, or give the gradient a way around it (`Residual`)."


def _wanted(signal):
    """(name, critical weight variance) of the activation behind a layer, if any."""
    try:
        table = tabulated(signal.activation)
        return table.name, critical(table, 0.0)[0]
    except (TypeError, ValueError):
        return None


def _whole(signals):
    """The factor from the first weights to the last, without that of pooling."""
    with_weights = [
        s for s in signals if s.weight_variance is not None and s.total > 0
    ] or [s for s in signals if s.total > 0 and s.multiplier is not None]
    if len(with_weights) < 3:
        return
    first, last = with_weights[0], with_weights[-1]
    if not (math.isfinite(first.total) and math.isfinite(last.total)):
        return
    between = signals[signals.index(first) : signals.index(last)]
    pooled = [s.multiplier for s in between if "Pooling" in s.kind and s.multiplier]
    whole = first.total / last.total / math.prod(pooled)
    if 1 / _WHOLE < whole < _WHOLE:
        return
    each = whole ** (1 / (len(with_weights) - 1))
    what = "vanishes" if whole < 1 else "explodes"
    yield (
        f"The gradient {what} on its way from {last.name} to {first.name}: it is "
        f"multiplied by {whole:.2g}, by {each:.2g} a layer in the mean of "
        f"{len(with_weights)}. {_cure(with_weights, whole)}"
    )


def _cure(with_weights, whole):
    """What to do about a net that multiplies gradients as a whole."""
    several = [s for s in with_weights[:-1] if _wanted(s) is not None]
    if several:
        name, value = _wanted(several[0])
        own = float(
            np.median([s.weight_variance for s in several if s.weight_variance])
        )
        if own and abs(math.log(own / value)) > 0.1:
            return (
                f"n_in times the variance of the weights is {own:.2g}, and {name} "
                f'wants {value:.3g}: `kernel_initializer=Critical("{name}")`; or '
                "`lsuv`, a normalisation, or `Residual`."
            )
    size = "smaller" if whole > 1 else "larger"
    return (
        f"Take {size} weights (`Critical` for the activation, `lsuv` for any net), a "
        "normalisation, or a way around each layer (`Residual`)."
    )


def _recurrent(signals):
    for s in signals:
        if s.step_multiplier is None or s.steps < 3:
            continue
        whole = s.step_multiplier ** (s.steps - 1)
        if whole < 1 / _WHOLE or whole > _WHOLE:
            what = "vanishes" if whole < 1 else "explodes"
            yield (
                f"Through the {s.steps} steps of {s.name} the gradient {what}: "
                f"multiplied by {s.step_multiplier:.2g} a step, {whole:.2g} in all. "
                "Orthogonal recurrent weights, a gated layer (LSTM with its forget "
                "bias of 1), layer normalisation (`LayerNormLSTM`), or fewer steps."
            )


def _named(signals):
    names = [s.name for s in signals]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")


def _flat(signals):
    dead = [s for s in signals if s.dead > 0.5 and _has_units(s)]
    if dead:
        worst = max(s.dead for s in dead)
        yield (
            f"Up to {worst:.0%} of the units are dead, the same for every input, in "
            f"{_named(dead)}. Weights of the right size (`Critical`, `lsuv`), a "
            "smaller learning rate, or an activation with a slope on both sides "
            "(LeakyReLU)."
        )
    saturated = [s for s in signals[:-1] if (s.saturated or 0) > 0.5]
    if saturated:
        worst = max(s.saturated for s in saturated)
        yield (
            f"Up to {worst:.0%} of the pre-activations are saturated in "
            f"{_named(saturated)}: smaller weights there (`lsuv(model, x)`), or a "
            "normalisation before the activation."
        )


def _has_units(signal):
    return signal.weight_variance is not None or signal.activation is not None


def _inputs(signals):
    """Two inputs that cannot be told apart any more, or have nothing in common."""
    seen = [s for s in signals if math.isfinite(s.correlation)]
    if len(seen) < 3:
        return
    first, last = seen[0], seen[-2]
    if last.correlation > 0.99 and first.correlation < 0.9:
        where = next(s for s in seen if s.correlation > 0.99)
        yield (
            f"Two inputs are nearly the same from {where.name} on: their correlation "
            f"goes from {first.correlation:.2f} to {last.correlation:.3f}, so the last "
            "layers cannot tell them apart. Go nearer to the edge of chaos "
            "(`mean_field`), take fewer layers, batch normalisation, or `Residual`."
        )
