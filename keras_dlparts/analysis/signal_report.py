"""Will a net train? Its signals and gradients, layer by layer, and what to change.

    u_l                     pre-activations of call l of a layer, over batch and units
    c_l                     <u_l(x), u_l(x')> / (|u_l(x)| |u_l(x')|), of two inputs
    m_l                     |dL / d inputs of l| / |dL / d outputs of l|, via l alone
    share_l                 how much of the gradient of its inputs comes via l

One forward and one backward pass over a batch. L is the model's loss where there are
targets, else a random direction of the output. Norms are over batch and units, so that
m_l^2 is the chi_1 of the mean-field theory whatever the widths. Shapes: numbers a call.
Schoenholz et al. 2017, "Deep information propagation", arXiv:1611.01232; Glorot &
Bengio 2010, "Understanding the difficulty of training deep feedforward neural
networks".
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np
from keras import layers as kl
from keras import ops

from keras_dlparts import backend
from keras_dlparts.analysis.jacobian import Jacobian, jacobian
from keras_dlparts.analysis.unchanged import unchanged
from keras_dlparts.analysis.verdicts import verdicts
from keras_dlparts.support.checks import check_count
from keras_dlparts.watched import flat_ends, watched_pass

# These only move or mask numbers; a table of signals is shorter without them.
_ONLY_MOVE = (kl.Flatten, kl.Reshape, kl.Permute, kl.Identity, kl.RepeatVector)


@dataclass
class Signal:
    """One call of a layer, as `signal_report` sees it.

    Args:
        name: The layer's name; of a shared layer with the number of the call.
        kind: The layer's class.
        mean, variance, kurtosis: Of the pre-activations, or of the output where the
            layer applies no activation; a Gaussian's kurtosis is 3.
        saturated: Share of pre-activations where the activation has less than a
            twentieth of its steepest slope; None for one that does not end flat.
        dead: Share of units with the same output for all of the batch.
        correlation: Of two inputs, the mean over pairs of the batch.
        gradient: Mean square of the gradient by the pre-activations (or outputs).
        multiplier: m_l; None where not one tensor goes in and one comes out.
        share: share_l, 1 where nothing goes around the layer.
        steps: Time steps, of a layer that repeats; 1 else.
        step_multiplier: Of a recurrent layer the gradient at its first step over that
            at its last, to the power 1 / (steps - 1).
        weight_variance: n_in times the variance of the kernel, or None.
        bias_variance: Of the biases, or None without a kernel.
        activation: The function that the layer applies, or None.
        total: Norm of the gradient by the output.
        seen: Whether there were values to describe.
    """

    name: str
    kind: str
    mean: float = math.nan
    variance: float = math.nan
    kurtosis: float = math.nan
    saturated: float | None = None
    dead: float = 0.0
    correlation: float = math.nan
    gradient: float = math.nan
    multiplier: float | None = None
    share: float = 1.0
    steps: int = 1
    step_multiplier: float | None = None
    weight_variance: float | None = None
    bias_variance: float | None = None
    activation: Any = None
    total: float = math.nan
    seen: bool = False


@dataclass
class SignalReport:
    """What `signal_report` finds; `print` it.

    Args:
        signals: A list of `Signal`, in the order of computation.
        verdicts: What stands out and what to do about it, a sentence or two each.
        jacobian: The `Jacobian` of the output by the input, or None.
        of: What the gradient is of: `"the loss"` or `"a random direction"`.
    """

    signals: list[Signal]
    verdicts: list[str]
    jacobian: Jacobian | None
    of: str

    @property
    def places(self) -> dict:
        """{name: (weight variance, bias variance)} for `PhaseDiagram.figure`."""
        return {
            s.name: (s.weight_variance, s.bias_variance)
            for s in self.signals
            if s.weight_variance is not None
        }

    def table(self) -> list[dict]:
        """A dict of texts for each layer, in the order of computation."""
        return [_row(signal) for signal in self.signals]

    def as_dict(self) -> dict:
        """Everything as numbers and texts that JSON holds; None where there is none."""
        j = self.jacobian
        return {
            "layers": [_plain(signal) for signal in self.signals],
            "jacobian": j
            and {
                "values": [float(v) for v in j.values],
                "exact": j.exact,
                "root_mean_square": j.root_mean_square,
                "shape": list(j.shape),
            },
            "gradient_of": self.of,
            "verdicts": self.verdicts,
        }

    def __str__(self):
        rows = self.table()
        lines = [_columns(rows), ""] if rows else []
        if self.jacobian is not None:
            j = self.jacobian
            which = "singular values" if j.exact else "largest singular values"
            lines.append(
                f"Jacobian {j.shape[0]} x {j.shape[1]}: {which} {j.values[-1]:.3g} to "
                f"{j.values[0]:.3g}, median {np.median(j.values):.3g}; root mean "
                f"square of all {j.root_mean_square:.3g}"
            )
        lines += [f"The gradient is of {self.of}.", ""]
        return "\n".join(lines + self.verdicts)

    def figure(self):
        """A matplotlib Figure: variance, gradient, correlation, dead units by layer."""
        from matplotlib.figure import Figure

        panels = 4 if self.jacobian is None else 5
        figure = Figure(figsize=(7, 1.7 * panels), layout="constrained")
        axes = figure.subplots(panels, 1)
        at = np.arange(len(self.signals))

        def values(name):
            found = [getattr(s, name) for s in self.signals]
            return np.array([math.nan if v is None else v for v in found], "float64")

        for spot, name, label in (
            (axes[0], "variance", "variance of\npre-activations"),
            (axes[1], "gradient", "mean square\nof gradient"),
        ):
            shown = values(name)
            spot.plot(at, np.where(shown > 0, shown, math.nan), "o-", ms=3)
            spot.set(yscale="log", ylabel=label)
        axes[2].plot(at, values("correlation"), "o-", ms=3)
        axes[2].set(ylabel="correlation\nof two inputs", ylim=(-0.15, 1.05))
        axes[3].plot(at, values("dead"), "o-", ms=3, label="dead units")
        axes[3].plot(at, values("saturated"), "s-", ms=3, label="saturated values")
        axes[3].set(ylabel="share", ylim=(-0.05, 1.05))
        axes[3].legend(fontsize=7)
        for spot in axes[:4]:
            spot.set_xticks(at, [])
            spot.grid(alpha=0.3)
        shown = at[:: max(1, len(at) // 40)]
        names = [self.signals[i].name for i in shown]
        axes[3].set_xticks(shown, names, rotation=90, size=6)
        if self.jacobian is not None:
            axes[4].hist(self.jacobian.values, bins=40)
            axes[4].set(xlabel="singular values of the Jacobian")
        return figure


def signal_report(
    model: keras.Model,
    data: Any,
    samples: int = 64,
    training: bool = True,
    singular_values: bool = True,
    seed: int = 0,
) -> SignalReport:
    """Signals and gradients of a model by layer, and what to change if it won't train.

    For any built model of Keras: nested and subclassed ones, shared layers (a row a
    call), residual nets (a layer that the gradient passes by is not blamed), recurrent
    layers (unrolled; each step is a layer deep). At the start or any later time. The
    model is left exactly as it was.

    Args:
        model: A built `keras.Model`.
        data: A batch: `x`, `(x, y)` or `(x, y, sample_weight)`, or what yields batches,
            of which the first is taken. With targets and a compiled model the gradient
            is that of the loss.
        samples: Integer, `>= 2`. At most as many samples are taken of the batch.
        training: Whether the passes are as in training, with the batch's statistics in
            batch normalisations and with dropout.
        singular_values: Whether to find those of the Jacobian, which is at one sample
            and in inference. They cost as much as some hundred samples.
        seed: Integer, for the random direction.

    Returns:
        A `SignalReport`.

    Example:

    >>> dense = [keras.layers.Dense(64, "tanh", name=f"dense_{i}") for i in range(8)]
    >>> model = keras.Sequential([keras.Input((64,)), *dense])
    >>> dense[4].kernel.assign(0.1 * dense[4].kernel.numpy()) is None  # plant a fault
    False
    >>> x = np.random.default_rng(0).normal(size=(32, 64)).astype("float32")
    >>> report = signal_report(model, x)
    >>> report.verdicts[0].partition(":")[0]
    'dense_4 multiplies the gradient by 0...'

    Reference: Schoenholz et al. 2017, https://arxiv.org/abs/1611.01232
    """
    check_count("samples", samples, least=2)
    if not getattr(model, "built", False) or not model.weights:
        raise ValueError(
            "`model` must be built and have weights, as there are no signals before. "
            f"Received: {getattr(model, 'name', model)!r}; call it on data first"
        )
    x, y, weight = _first(data, samples)
    if len(keras.tree.flatten(x)[0]) < 2:
        raise ValueError("`data` must hold at least 2 samples. Received: 1")
    with_loss = y is not None and getattr(model, "compiled", False)
    with unchanged(model):
        calls, gradients, wholes = _passes(
            model, x, y, weight, with_loss, training, seed
        )
        signals = _signals(calls, gradients, wholes)
        found = None
        if singular_values:
            floats = [
                "float" in keras.backend.standardize_dtype(a.dtype)
                for a in keras.tree.flatten(x)
            ]
            if any(floats):
                found = jacobian(model, x, calibrate=training, seed=seed)
    shown = [
        signal
        for call, signal in zip(calls, signals, strict=True)
        if not isinstance(call.layer, _ONLY_MOVE)
    ]
    of = "the loss" if with_loss else "a random direction of the output"
    return SignalReport(shown, verdicts(shown), found, of)


def _first(data, samples):
    """The first batch of data as `(x, y, sample_weight)` of tensors, cut."""
    if isinstance(data, keras.utils.PyDataset):
        data = data[0]
    elif not hasattr(data, "shape") and not isinstance(data, tuple | dict):
        data = next(iter(data), None)
        if data is None:
            raise ValueError("`data` must hold a batch. Received: nothing")
    batch = keras.utils.unpack_x_y_sample_weight(data)
    return [
        keras.tree.map_structure(
            lambda a: None if a is None else ops.convert_to_tensor(a[:samples]), part
        )
        for part in batch
    ]


def _passes(model, x, y, weight, with_loss, training, seed):
    """(calls of a forward pass, {(*key, place): the gradient there}, wholes).

    Wholes are {id of a tensor: the norm of the gradient by it}, of tensors that go into
    the model and into layers around the calls.
    """
    with backend.unmoved(model):
        outputs, calls, around = watched_pass(
            model, lambda: model(x, training=training)
        )
    if not calls:
        raise ValueError(
            "`model` must have layers whose values can be seen when it is called. "
            f"Received: {model.name!r}, which has none"
        )
    places = {}
    for call in calls:
        for one in (call, *call.steps):
            for place in ("inputs", "pre", "output"):
                tensor = getattr(one, place)
                if tensor is not None:
                    places[(*one.key, place)] = tensor
    for call in around:
        if call.inputs is not None:
            places[(*call.key, "inputs")] = call.inputs
    flat = keras.tree.flatten(x)
    for i, tensor in enumerate(flat):
        if "float" in keras.backend.standardize_dtype(tensor.dtype):
            places[("model", i, "inputs")] = tensor
    random = np.random.default_rng(seed)
    outputs = keras.tree.flatten(outputs)
    directions = [
        ops.convert_to_tensor(random.normal(size=t.shape).astype("float32"))
        for t in outputs
    ]

    def function(*noise):
        given = dict(zip(places, noise, strict=True))

        def add(key, place, tensor):
            more = given.get((*key, place))
            return tensor if more is None else tensor + more

        def run():
            moved = [
                a + given[key] if (key := ("model", i, "inputs")) in given else a
                for i, a in enumerate(flat)
            ]
            made = model(keras.tree.pack_sequence_as(x, moved), training=training)
            if with_loss:
                return model.compute_loss(x, y, made, weight, training=training)
            made = keras.tree.flatten(made)
            return sum(
                ops.sum(ops.cast(t, "float32") * u)
                for t, u in zip(made, directions, strict=True)
            )

        return [watched_pass(model, run, add)[0]]

    zeros = [ops.zeros_like(t) for t in places.values()]
    with backend.unmoved(model):
        outputs, pull = backend.pullback(function, zeros)
        found = pull([ops.ones_like(outputs[0])])
    gradients = {
        place: ops.convert_to_numpy(g).astype("float64")
        for place, g in zip(places, found, strict=True)
    }
    wholes = {}
    for call in around:
        norm = _norm(gradients.get((*call.key, "inputs")))
        wholes[id(call.inputs)] = max(norm, wholes.get(id(call.inputs), 0))
    for i, tensor in enumerate(flat):
        if ("model", i, "inputs") in gradients:
            wholes[id(tensor)] = _norm(gradients["model", i, "inputs"])
    return calls, gradients, wholes


def _signals(calls, gradients, wholes):
    # {id of a tensor: the norm of the gradient by it, of all that use it}
    made = {**wholes}
    found = []
    for call in calls:
        total = _norm(gradients.get((*call.key, "output")))
        signal = Signal(call.name, type(call.layer).__name__, total=total)
        found.append(signal)
        if call.output is not None:
            made[id(call.output)] = total
        tensors = _tensors(call)
        if tensors:
            values = [ops.convert_to_numpy(t).astype("float64") for t in tensors]
            _describe(signal, call, values)
        _gradients(signal, call, gradients, made)
        _weights(signal, call.layer)
    return found


def _tensors(call):
    """Pre-activations, or outputs where there are none."""
    if call.pre is not None:
        return [call.pre]
    steps = [step.pre for step in call.steps if step.pre is not None]
    if steps:
        return steps
    return [] if call.output is None else [call.output]


def _describe(signal, call, values):
    flat = np.concatenate([v.ravel() for v in values])
    signal.seen = True
    with np.errstate(all="ignore"):
        signal.mean, signal.variance = float(flat.mean()), float(flat.var())
        if signal.variance > 0:
            away = (flat - signal.mean) ** 4
            signal.kurtosis = float(away.mean() / signal.variance**2)
        rows = np.concatenate([v.reshape(len(v), -1) for v in values], axis=1)
        lengths = np.sqrt((rows**2).sum(axis=1))
        cosines = (rows * np.roll(rows, 1, axis=0)).sum(axis=1)
        cosines /= lengths * np.roll(lengths, 1)
        if np.isfinite(cosines).any():
            signal.correlation = float(np.nanmean(cosines))
    step = next((s for s in call.steps if s.pre is not None), None)
    signal.activation = call.activation or (step and step.activation)
    if isinstance(call.layer, kl.Activation | kl.ReLU | kl.LeakyReLU | kl.ELU):
        signal.activation = getattr(call.layer, "activation", call.layer)
    signal.saturated = _saturated(signal.activation, flat)
    if call.output is not None:
        out = ops.convert_to_numpy(call.output).astype("float64")
        first = getattr(call.layer, "data_format", None) == "channels_first"
        units = np.moveaxis(out, 1, -1) if first else out
        units = units.reshape(-1, units.shape[-1])
        with np.errstate(all="ignore"):
            same = np.ptp(units, axis=0) <= 1e-6 * np.abs(units).max(axis=0)
        signal.dead = float(same.mean())


def _saturated(activation, flat):
    """The share of values where a function with two flat ends is flat."""
    ends = None if activation is None else flat_ends(activation)
    if ends is None or not np.isfinite(ends).all():
        return None
    return float(((flat <= ends[0]) | (flat >= ends[1])).mean())


def _gradients(signal, call, gradients, made):
    last = [
        g for g in (gradients.get((*s.key, "pre")) for s in call.steps) if g is not None
    ]
    here = gradients.get((*call.key, "pre"))
    here = last if here is None and last else [here]
    if here[0] is None:
        here = [gradients.get((*call.key, "output"))]
    if here[0] is not None:
        signal.gradient = float(np.mean([(g**2).mean() for g in here]))
    via = gradients.get((*call.key, "inputs"))
    if via is not None and call.output is not None and signal.total:
        signal.multiplier = _norm(via) / signal.total
        whole = made.get(id(call.inputs))
        if whole:
            signal.share = min(1.0, _norm(via) / whole)
    signal.steps = max(1, len(call.steps))
    if isinstance(call.layer, kl.RNN) and len(call.steps) > 1:
        norms = [_norm(gradients.get((*s.key, "output"))) for s in call.steps]
        if norms[0] and norms[-1]:
            power = 1 / (len(norms) - 1)
            signal.step_multiplier = float((norms[0] / norms[-1]) ** power)


def _weights(signal, layer):
    kernel = getattr(layer, "kernel", None)
    if not isinstance(layer, kl.Dense | kl.Conv1D | kl.Conv2D | kl.Conv3D):
        return
    values = ops.convert_to_numpy(kernel).astype("float64")
    bias = getattr(layer, "bias", None)
    with np.errstate(invalid="ignore"):
        signal.weight_variance = float(values.var() * np.prod(values.shape[:-1]))
        signal.bias_variance = (
            0.0 if bias is None else float(ops.convert_to_numpy(bias).var())
        )


def _norm(gradient):
    return math.nan if gradient is None else float(np.sqrt((gradient**2).sum()))


def _plain(signal):
    values = {f.name: getattr(signal, f.name) for f in fields(signal)}
    function = values.pop("activation")
    del values["seen"]
    values = {
        name: None if isinstance(v, float) and not math.isfinite(v) else v
        for name, v in values.items()
    }
    return values | {"activation": getattr(function, "__name__", None)}


def _row(signal):
    def text(value, form=".3g"):
        missing = value is None or (isinstance(value, float) and math.isnan(value))
        return "" if missing else format(value, form)

    factor = text(signal.multiplier)
    if signal.share < 0.995:
        factor += f" ({signal.share:.0%} of it)"
    if signal.step_multiplier is not None:
        factor += f" ({signal.step_multiplier:.3g} a step)"
    return {
        "layer": signal.name,
        "kind": signal.kind,
        "mean": text(signal.mean),
        "variance": text(signal.variance),
        "kurtosis": text(signal.kurtosis),
        "saturated": text(signal.saturated, ".0%"),
        "dead": text(signal.dead, ".0%"),
        "correlation": text(signal.correlation),
        "gradient²": text(signal.gradient),
        "multiplies gradient by": factor,
    }


def _columns(rows):
    """Rows of texts as lines with columns, the first two to the left."""
    heads = list(rows[0])
    widths = [max(len(h), *(len(row[h]) for row in rows)) for h in heads]
    lines = []
    for row in ({h: h for h in heads}, *rows):
        cells = [
            row[h].ljust(w) if i < 2 or i == len(heads) - 1 else row[h].rjust(w)
            for i, (h, w) in enumerate(zip(heads, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
