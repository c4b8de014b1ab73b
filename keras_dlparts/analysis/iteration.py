"""Iterated maps: where x <- f(x) goes, its fixed points and cycles, and the pictures.

    x_(t+1) = f(x_t)          fixed point: f(x) = x         cycle of n: f^n(x) = x
    multiplier m = (f^n)'(x) = prod f'(x_t) over the cycle; of a vector map the
    eigenvalue of its Jacobian with the largest absolute value
    |m| < 1 a sink, |m| > 1 a source, m = 0 superstable, |m| = 1 neither

A layer without input, or a recurrent one, is such a map of its state: `as_map`. Shapes:
numbers, or states (units,). Strogatz, "Nonlinear dynamics and chaos", chapter 10;
Sussillo & Barak 2013, "Opening the black box", for fixed points of recurrent nets.
"""

from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from keras_dlparts.support.checks import check_count, check_number


def iterate(f: Callable, x0, n: int) -> np.ndarray:
    """The start and its n images under a map: x0, f(x0), f(f(x0)), ...

    Args:
        f: A function of a number, or of an array; see `as_map` for layers.
        x0: Where to start, a number or an array.
        n: Integer, `>= 0`. How many steps.

    Returns:
        An array of `n + 1` rows.

    Example:

    >>> iterate(lambda x: 2.0 * x * (1 - x), 0.1, 3).round(3)
    array([0.1  , 0.18 , 0.295, 0.416])
    """
    check_count("n", n, least=0)
    x = np.asarray(x0, "float64")
    found = [x]
    for _ in range(n):
        x = np.asarray(f(x), "float64")
        if x.shape != found[0].shape:
            raise ValueError(
                "`f` must give what has the shape of its argument. Received: "
                f"{found[0].shape} -> {x.shape}"
            )
        found.append(x)
    return np.stack(found)


@dataclass(frozen=True)
class Cycle:
    """A fixed point, or a cycle of several points.

    Args:
        points: Array of the points in their order, those of numbers from the least on.
        multiplier: Of the whole cycle; of a vector map a complex number.
        eigenvalues: All of the Jacobian of the whole cycle, the largest first.
    """

    points: np.ndarray
    multiplier: complex
    eigenvalues: np.ndarray

    @property
    def period(self) -> int:
        """How many points there are: 1 for a fixed point."""
        return len(self.points)

    @property
    def kind(self) -> str:
        """ "superstable", "sink", "neutral", "source", or "saddle" of vectors."""
        sizes = np.abs(self.eigenvalues)
        if sizes[0] < 1e-6:
            return "superstable"
        if abs(sizes[0] - 1) < 1e-6:
            return "neutral"
        if sizes[0] < 1:
            return "sink"
        return "source" if sizes[-1] > 1 else "saddle"

    def __str__(self):
        m = self.multiplier
        m = f"{m.real:.4g}" if abs(m.imag) < 1e-9 else f"{m:.4g}"
        shown = np.array2string(self.points.squeeze(), precision=4, threshold=8)
        return f"{self.kind}, multiplier {m}, at {shown}"


def fixed_points(
    f: Callable,
    interval: tuple = (0.0, 1.0),
    period: int = 1,
    starts: int = 500,
    units: int | None = None,
    seed: int = 0,
) -> list[Cycle]:
    """The fixed points and cycles of a map, by Newton's method from many starts.

    It finds those in the interval that some start leads to; a map may have more. Each
    is checked: what Newton's method gives must come back to itself under the map.

    Args:
        f: A function of a number; or, with `units`, of an array of so many.
        interval: Two numbers, the ends. Of arrays: of each coordinate.
        period: Integer, `>= 1`. Points of the cycles, those of its divisors left out.
        starts: Integer, `>= 1`. How many: evenly of a number, at random of an array.
        units: Optional integer, the length of the arrays that `f` takes.
        seed: Integer, for random starts.

    Returns:
        A list of `Cycle`, sorted by their first points.

    Example:

    >>> for found in fixed_points(lambda x: 3.5 * x * (1 - x)):
    ...     print(found)
    source, multiplier 3.5, at 0.
    source, multiplier -1.5, at 0.7143
    """
    check_count("period", period)
    check_count("starts", starts)
    low, high = (check_number("interval", float(end)) for end in interval)
    if not low < high:
        raise ValueError(
            f"`interval` must be two numbers, low < high. Received: {interval}"
        )
    size = 1 if units is None else check_count("units", units)

    def step(x):  # arrays of `size` numbers in and out
        y = f(float(x[0]) if units is None else x)
        return np.asarray(y, "float64").reshape(size)

    def composed(x):
        for _ in range(period):
            x = step(x)
        return x

    if units is None:
        begin = np.linspace(low, high, starts)[:, None]
    else:
        begin = np.random.default_rng(seed).uniform(low, high, (starts, size))
    reach = high - low
    rounding = getattr(f, "rounding", 1e-16)
    found = []
    for start in begin:
        x = _newton(composed, start, reach, rounding)
        if x is None or np.abs(x - (low + high) / 2).max() > (0.5 + 1e-9) * reach:
            continue
        points = [x]
        for _ in range(period - 1):
            points.append(step(points[-1]))
        divisors = (d for d in range(1, period) if period % d == 0)
        if any(_close(x, points[d], reach) for d in divisors):
            continue
        if any(_close(x, p, reach) for cycle in found for p in cycle):
            continue
        found.append(np.array(points))
    return sorted(
        (_cycle(points, step, units, rounding) for points in found),
        key=lambda cycle: tuple(np.atleast_1d(cycle.points[0]).ravel()),
    )


def _close(a, b, reach):
    return bool(np.abs(a - b).max() < 1e-5 * reach)


def _slope(f, x, rounding):
    """The Jacobian by central differences, with the best step for a map's rounding."""
    columns = []
    for i in range(len(x)):
        h = rounding ** (1 / 3) * max(1.0, abs(x[i]))
        e = np.zeros(len(x))
        e[i] = h
        columns.append((f(x + e) - f(x - e)) / (2 * h))
    return np.stack(columns, axis=1)


def _newton(f, x, reach, rounding):
    """Where f(x) = x, from a start; None where the method does not end."""
    for _ in range(60):
        miss = f(x) - x
        if not np.isfinite(miss).all():
            return None
        try:
            move = np.linalg.solve(_slope(f, x, rounding) - np.eye(len(x)), -miss)
        except np.linalg.LinAlgError:
            return None
        if not np.isfinite(move).all() or np.abs(move).max() > 100 * reach:
            return None
        x = x + move
        if np.abs(move).max() < 1e4 * rounding * max(1.0, np.abs(x).max()):
            break
    # It comes back to itself, to what the arithmetic of the map allows.
    miss = np.abs(f(x) - x).max()
    return x if miss < 1e-6 * max(1.0, np.abs(x).max()) else None


def _cycle(points, step, units, rounding):
    whole = np.eye(points.shape[1])
    for x in points:
        whole = _slope(step, x, rounding) @ whole
    values = np.linalg.eigvals(whole)
    values = values[np.argsort(-np.abs(values))]
    if units is None:
        points = points[:, 0]
        points = np.roll(points, -int(points.argmin()))
    return Cycle(points, complex(values[0]), values)


def as_map(layer: keras.layers.Layer, inputs=None) -> Callable:
    """A layer as a map of its state, for `iterate` and `fixed_points`.

    Args:
        layer: A built layer or model whose output has its input's shape, or a built
            recurrent layer of Keras or ours.
        inputs: Optional array (features,), the input that a recurrent layer sees at
            every step. Zeros by default: a layer without input.

    Returns:
        A function of an array: the layer's input, or a recurrent layer's states in one
        row, of an LSTM h and then c. Its length is `.units`.

    Example:

    >>> rnn = keras.layers.SimpleRNN(2, recurrent_initializer="identity")
    >>> rnn.build((None, 1, 3))
    >>> step = as_map(rnn)
    >>> step.units, step(np.array([0.0, 1.0])).round(3)
    (2, array([0.   , 0.762]))
    """
    if not layer.built:
        raise ValueError(
            f"`layer` must be built. Received: {layer.name!r}; call it on data first"
        )
    if not isinstance(layer, keras.layers.RNN):
        size = layer.input_shape[-1] if hasattr(layer, "input_shape") else None

        def plain(x):
            y = layer(ops.convert_to_tensor(np.asarray(x, "float32")[None]))
            return ops.convert_to_numpy(y)[0].astype("float64")

        plain.units, plain.rounding = size, 1e-7
        return plain
    cell = layer.cell
    sizes = cell.state_size
    sizes = [sizes] if isinstance(sizes, int) else [*sizes]
    if inputs is None:
        kernel = getattr(cell, "kernel", None)
        if kernel is None:
            raise ValueError(
                "`inputs` must be given where the cell has no `kernel` to tell their "
                f"number from. Received: a {type(cell).__name__} and inputs=None"
            )
        inputs = np.zeros(kernel.shape[0])
    row = ops.convert_to_tensor(np.asarray(inputs, "float32")[None])
    ends = np.cumsum(sizes)[:-1]

    def recurrent(state):
        parts = np.split(np.asarray(state, "float32")[None], ends, axis=1)
        _, states = cell(row, [ops.convert_to_tensor(p) for p in parts], training=False)
        states = states if isinstance(states, list | tuple) else [states]
        parts = [ops.convert_to_numpy(s)[0] for s in states]
        return np.concatenate(parts).astype("float64")

    recurrent.units, recurrent.rounding = int(sum(sizes)), 1e-7
    return recurrent


def cobweb(f: Callable, x0: float, n: int = 40, interval: tuple = (0.0, 1.0)):
    """A matplotlib Figure of a number map, its diagonal, and the path of a start.

    Args:
        f: A function of a number.
        x0: Where the path starts.
        n: Integer, `>= 0`. How many steps.
        interval: Two numbers, the ends of the axes.

    Example:

    >>> figure = cobweb(lambda x: 3.5 * x * (1 - x), 0.2)
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    _graph(axes, f, interval)
    path = iterate(f, x0, n)
    xs = np.repeat(path, 2)
    axes.plot(xs[:-1], [interval[0], *xs[2:]][: len(xs) - 1], "C1", lw=0.8)
    axes.plot(path[0], interval[0], "C1o", ms=4)
    axes.set(ylabel="f(x)")
    return figure


def composed_graphs(f: Callable, periods=(1, 2, 4), interval: tuple = (0.0, 1.0)):
    """A matplotlib Figure of f, f(f), ...: where it meets the diagonal is a cycle.

    Filled marks are sinks, open ones sources.

    Args:
        f: A function of a number.
        periods: How often f is composed, a panel each.
        interval: Two numbers, the ends of the axes.

    Example:

    >>> figure = composed_graphs(lambda x: 3.5 * x * (1 - x), (1, 4))
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(periods), 3.4), layout="constrained")
    spots = figure.subplots(1, len(periods), squeeze=False)[0]
    for axes, n in zip(spots, periods, strict=True):

        def composed(x, n=n):
            return iterate(f, x, n)[-1]

        _graph(axes, composed, interval)
        for period in (d for d in range(1, n + 1) if n % d == 0):
            for cycle in fixed_points(f, interval, period):
                fill = "C3" if cycle.kind in ("sink", "superstable") else "none"
                axes.plot(
                    cycle.points, cycle.points, "o", mfc=fill, mec="C3", clip_on=False
                )
        axes.set(title=f"f composed {n} times" if n > 1 else "f")
    return figure


def _graph(axes, f, interval):
    x = np.linspace(*interval, 800)
    axes.plot(x, [float(f(float(each))) for each in x], "C0")
    axes.plot(interval, interval, "k", lw=0.7)
    axes.set(xlim=interval, ylim=interval, xlabel="x", aspect="equal")


@dataclass(frozen=True)
class LinearDepth:
    """What k applications of one matrix do to each of its eigenvectors.

    Args:
        eigenvalues: The largest in absolute value first.
        powers: Array (k + 1, eigenvalues) of their absolute values to the power 0 to k.
        gains: Array (k + 1,) of the largest singular value of the matrix to the powers:
            what they may do to a vector. More than the powers where it is not normal.
    """

    eigenvalues: np.ndarray
    powers: np.ndarray
    gains: np.ndarray

    def figure(self):
        """A matplotlib Figure: eigenvalues in the plane, and their powers by depth."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3.6), layout="constrained")
        plane, axes = figure.subplots(1, 2)
        turn = np.linspace(0, 2 * np.pi, 200)
        plane.plot(np.cos(turn), np.sin(turn), "k", lw=0.7)
        plane.plot(self.eigenvalues.real, self.eigenvalues.imag, "o", ms=4)
        plane.set(
            aspect="equal", title="eigenvalues", xlabel="real", ylabel="imaginary"
        )
        axes.plot(self.powers, lw=0.8)
        axes.plot(self.gains, "k--", label="largest singular value")
        axes.set(yscale="log", xlabel="depth k", ylabel=r"$|\lambda|^k$")
        axes.set_ylim(max(1e-12, self.powers.min()), None)
        axes.legend()
        return figure


def linear_depth(matrix, k: int) -> LinearDepth:
    """Eigenvalues to the k-th power: why linear nets of depth k fade or explode.

    A recurrent linear layer, or k layers with the same weights, multiply the part of a
    signal along an eigenvector by its eigenvalue each time. Its k-th power goes to 0
    below 1 and to infinity above. The recurrence x <- V (W x + U h) of a state x and a
    fixed input h is one with the matrix V W: `linear_depth(V @ W, k)`; it has one fixed
    point, which attracts, where all eigenvalues are below 1 in absolute value.

    Args:
        matrix: A square array.
        k: Integer, `>= 1`. The depth.

    Returns:
        A `LinearDepth`.

    Example:

    >>> found = linear_depth(np.diag([1.1, 0.9]), 50)
    >>> found.powers[-1].round(4)
    array([1.173909e+02, 5.200000e-03])
    """
    check_count("k", k)
    a = np.asarray(ops.convert_to_numpy(matrix), "float64")
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise ValueError(f"`matrix` must be square. Received: shape {a.shape}")
    values = np.linalg.eigvals(a)
    values = values[np.argsort(-np.abs(values))]
    power, gains = np.eye(len(a)), []
    for _ in range(k + 1):
        gains.append(np.linalg.norm(power, 2))
        power = power @ a
    powers = np.abs(values)[None] ** np.arange(k + 1)[:, None]
    return LinearDepth(values, powers, np.array(gains))
