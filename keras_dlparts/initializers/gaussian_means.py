"""Means of an activation over Gaussian pre-activations, and its edge of chaos.

    u ~ N(0, q)                 V(q) = E phi(u)^2        D(q) = E phi'(u)^2
    (u1, u2) ~ N(0, q), correlated by c:     C(q, c) = E phi(u1) phi(u2)
    q* = s_w^2 V(q*) + s_b^2    chi_1 = s_w^2 D(q*)      critical: chi_1 = 1

Any activation of Keras, kinks included: it is tabulated once as polynomials on pieces
that are halved until they represent it, so that each integral is a sum over pieces of
smooth functions. Poole et al. 2016, "Exponential expressivity in deep neural networks
through transient chaos", arXiv:1606.05340.
"""

import functools

import keras
import numpy as np

from keras_dlparts import backend

# Gauss-Legendre nodes on a piece; a piece's polynomial goes through them.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_TO_COEFFICIENTS = np.linalg.inv(np.polynomial.legendre.legvander(_NODES, 7))
# From the values at a piece's nodes to those at the nodes of its halves.
_HALVES = [
    np.polynomial.legendre.legvander((_NODES + side) / 2, 7) @ _TO_COEFFICIENTS
    for side in (-1, 1)
]
_FAR = 10.0  # standard deviations; beyond lies 1e-23 of a Gaussian
_LEAST = 1e-6  # a smaller variance counts as none


class Tabulated:
    """An activation and its slope as polynomials on pieces, for means over Gaussians.

    Args:
        activation: A name or a function of Keras that works on each element, is
            continuous, and has its derivative as its gradient.
    """

    def __init__(self, activation):
        self.function = keras.activations.get(activation)
        self.name = getattr(self.function, "__name__", str(activation))
        self._tables = {}
        _, dtype = self._values(np.zeros(1))
        self.rounding = 1e-12 if dtype == np.float64 else 1e-6
        self._check_elementwise()

    def _check_elementwise(self):
        x = np.array([[0.3, -0.7], [0.3, 1.9]], "float32")
        y = keras.ops.convert_to_numpy(self.function(keras.ops.convert_to_tensor(x)))
        if y.shape != x.shape or abs(y[0, 0] - y[1, 0]) > 1e-6:
            raise ValueError(
                "`activation` must work on each element alone. "
                f"Received: activation={self.name}"
            )

    def _values(self, u):
        """(phi, phi') at an array, from the backend, in float64 where it can."""
        # A few sizes only: JAX compiles anew for each.
        size = max(1024, 1 << (u.size - 1).bit_length())
        padded = np.zeros(size, "float64")
        padded[: u.size] = u.ravel()
        y = keras.ops.convert_to_numpy(
            self.function(keras.ops.convert_to_tensor(padded))
        )
        found = np.stack([y, backend.slope(self.function, padded)])
        return found[:, : u.size].reshape(2, *u.shape), y.dtype

    def _table(self, radius):
        """(ends of the pieces, coefficients, cuts, kinks) up to a radius."""
        if radius not in self._tables:
            even = np.arange(0, min(radius, 8) + 0.25, 0.5)
            ends = np.union1d(even, 2.0 ** np.arange(-1, np.log2(radius) + 0.5))
            ends = np.union1d(-ends, ends)
            pieces, kinks = self._pieces(ends)
            if len(kinks):  # between the kinks it is smooth
                pieces, _ = self._pieces(np.union1d(ends, kinks))
            # Where integrals are cut: at kinks, and where it bends within short ways.
            short = pieces[:-1][np.diff(pieces) < 0.25]
            cuts = np.unique(np.concatenate([np.arange(-8, 9), kinks, short]))
            self._tables[radius] = pieces, self._coefficients(pieces), cuts, kinks
        return self._tables[radius]

    def _pieces(self, ends):
        """Halve pieces until polynomials fit: (their ends, where none ever does)."""
        left, right = ends[:-1], ends[1:]
        found, kinks = [ends], []
        while len(left):
            centre, half = (left + right) / 2, (right - left) / 2
            values, dtype = self._values(centre[:, None] + half[:, None] * _NODES)
            fine = []
            for side in (-1, 1):
                nodes = centre[:, None] + half[:, None] * (_NODES + side) / 2
                fine.append(self._values(nodes)[0])
            loose = 1e-10 if dtype == np.float64 else 2e-6
            scale = np.maximum(1, np.abs(values)).max(axis=(0, 2))
            with np.errstate(invalid="ignore"):
                error = np.max(
                    [
                        np.abs(values @ matrix.T - there).max(axis=(0, 2))
                        for matrix, there in zip(_HALVES, fine, strict=True)
                    ],
                    axis=0,
                )
            rough = ~(error <= loose * scale) & np.isfinite(scale)
            tiny = half < 1e-8 * np.maximum(1, np.abs(centre))
            kinks.append(centre[rough & tiny])
            rough &= ~tiny
            found.append(centre[rough])
            left, right = (
                np.concatenate([left[rough], centre[rough]]),
                np.concatenate([centre[rough], right[rough]]),
            )
        kinks = np.sort(np.concatenate(kinks))
        near = np.round(kinks * 2**20) / 2**20
        kinks = np.unique(np.where(np.abs(near - kinks) < 1e-7, near, kinks))
        return np.unique(np.concatenate(found)), kinks

    def _coefficients(self, ends):
        """Legendre coefficients of phi and phi' on each piece, checked."""
        centre, half = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
        values, dtype = self._values(centre[:, None] + half[:, None] * _NODES)
        found = values @ _TO_COEFFICIENTS.T
        phi, slope = found
        # Over a piece phi must grow by the integral of phi', and meet the next one.
        loose = 1e-7 if dtype == np.float64 else 1e-4
        scale = np.maximum(1, np.abs(values[0]).max(axis=1))
        begin = phi @ (-1.0) ** np.arange(8)
        end = phi.sum(axis=1)
        off = np.abs(end - begin - 2 * half * slope[:, 0]) > loose * scale
        off[1:] |= np.abs(begin[1:] - end[:-1]) > loose * scale[1:]
        if off.any():
            raise ValueError(
                "`activation` must be continuous, and its gradient its derivative: the "
                "theory has no edge of chaos otherwise. "
                f"Received: {self.name}, which is not so near {ends[:-1][off][0]:.3g}"
            )
        return found

    def at(self, u):
        """(phi(u), phi'(u)) as float64 arrays, from the table."""
        radius = 2.0 ** max(3, np.ceil(np.log2(max(np.abs(u).max(), 1e-30))))
        ends, coefficients, _, _ = self._table(radius)
        piece = np.clip(np.searchsorted(ends, u, "right") - 1, 0, len(ends) - 2)
        centre, half = (ends[1:] + ends[:-1]) / 2, np.diff(ends) / 2
        t = (u - centre[piece]) / half[piece]
        # Legendre polynomials: (n + 1) P_(n+1) = (2 n + 1) t P_n - n P_(n-1).
        found = np.zeros((2, *u.shape))
        before, now = np.ones_like(t), t
        for n in range(8):
            found += coefficients[:, piece, n] * before
            before, now = now, ((2 * n + 3) * t * now - (n + 1) * before) / (n + 2)
        return found

    def cuts(self, radius):
        """(where to cut an integral, the kinks among these) up to a radius."""
        *_, cuts, kinks = self._table(2.0 ** max(3, np.ceil(np.log2(radius))))
        return cuts[np.abs(cuts) < radius], kinks[np.abs(kinks) < radius]

    def at_zero(self):
        """(phi(0), the mean of phi'^2 on both sides of 0)."""
        (start, *_), (_, before, after) = self._values(np.array([0, -1e-9, 1e-9]))[0]
        return float(start), float(before**2 + after**2) / 2


@functools.lru_cache(maxsize=64)
def _by_name(name):
    return Tabulated(name)


def tabulated(activation):
    """The table of an activation; one table for each name."""
    if isinstance(activation, Tabulated):
        return activation
    if activation is None or isinstance(activation, str):
        return _by_name(activation)
    own = keras.activations.get(activation)
    known = getattr(keras.activations, getattr(own, "__name__", ""), None)
    return _by_name(own.__name__) if own is known else Tabulated(own)


def _rule(ends):
    """Nodes and weights over the pieces between sorted ends, on the last axis."""
    centre, half = (ends[..., 1:] + ends[..., :-1]) / 2, np.diff(ends) / 2
    nodes = centre[..., None] + half[..., None] * _NODES
    weights = half[..., None] * _WEIGHTS
    shape = (*ends.shape[:-1], -1)
    return nodes.reshape(shape), weights.reshape(shape)


def _density(z):
    return np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)


_EVEN = np.arange(-_FAR, _FAR + 0.5)


def means(table, q):
    """(V, D, dV/dq) of a table at a variance q.

    dV/dq = E z phi phi' / sqrt(q): it needs no second derivative, which a kink lacks.
    """
    if q < _LEAST:
        start, slope = table.at_zero()
        return start**2 + q * slope, slope, slope if start == 0 else np.nan
    root = np.sqrt(q)
    cuts, _ = table.cuts(_FAR * root)
    z, weights = _rule(np.union1d(_EVEN, cuts / root))
    phi, slope = table.at(root * z)
    weights = weights * _density(z)
    return (
        float(weights @ phi**2),
        float(weights @ slope**2),
        float(weights @ (z * phi * slope)) / root,
    )


def pair_means(table, q, c):
    """(E phi phi, E phi' phi') of pre-activations of variance q, correlated by c."""
    if q < _LEAST:
        start, slope = table.at_zero()
        return start**2 + c * q * slope, slope
    if c > 1 - 1e-9:
        return means(table, q)[:2]
    root, other = np.sqrt(q), np.sqrt(1 - c**2)
    cuts, kinks = (found / root for found in table.cuts(_FAR * root))
    # The mean over z2 bends with z1 around a kink, within some times `other`.
    near = (kinks[:, None] + other * np.array([-8, -4, -2, -1, 0, 1, 2, 4, 8])).ravel()
    near = np.concatenate([cuts, near / c if c else near])
    z1, w1 = _rule(np.union1d(_EVEN, near[np.abs(near) < _FAR]))
    w1 = w1 * _density(z1)
    first = table.at(root * z1) * w1
    found = np.zeros(2)
    for i in range(0, len(z1), 128):  # a grid of all at once would be large
        part = slice(i, i + 128)
        met = np.clip((cuts - c * z1[part, None]) / other, -_FAR, _FAR)
        even = np.broadcast_to(_EVEN, (len(met), len(_EVEN)))
        z2, w2 = _rule(np.sort(np.concatenate([even, met], axis=1)))
        second = table.at(root * (c * z1[part, None] + other * z2))
        found += np.einsum("ai,aij,ij->a", first[:, part], second, w2 * _density(z2))
    return float(found[0]), float(found[1])


def root(function, low, high, tolerance=1e-12):
    """Where a function changes its sign between two ends, by bisection and secants."""
    at_low, at_high = function(low), function(high)
    for _ in range(200):
        middle = (low * at_high - high * at_low) / (at_high - at_low)
        if not low < middle < high or _ % 3 == 2:
            middle = (low + high) / 2
        value = function(middle)
        if value == 0 or high - low <= tolerance * max(abs(high), 1e-300):
            return middle
        if (value > 0) == (at_low > 0):
            low, at_low = middle, value
        else:
            high, at_high = middle, value
    return (low + high) / 2


def fixed_variance(table, variance, bias, start=1.0):
    """q*: where q <- variance V(q) + bias goes to from `start`; inf if it grows."""

    def moved(q):
        return variance * means(table, q)[0] + bias - q

    low = high = start
    first = moved(start)
    if abs(first) <= table.rounding * start:
        return start
    while True:
        low, high = (high, 2 * high) if first > 0 else (low / 2, low)
        if high > 1e12:
            return np.inf
        if low < _LEAST:
            return 0.0 if bias == 0 and table.at_zero()[0] == 0 else moved(0.0)
        value = moved(high if first > 0 else low)
        if not np.isfinite(value):
            return np.inf
        if (value > 0) != (first > 0):
            return root(moved, low, high)


def critical(table, bias):
    """(weight variance, q*) at the edge of chaos for a bias variance.

    1 / D(q) is the weight variance with chi_1 = 1 at q; where q is a fixed point too,
    q - V(q) / D(q) is the bias variance. Of several such q the smallest that attracts
    is taken.
    """
    start, slope = table.at_zero()
    at_zero = start == 0 < slope and all(
        means(table, q)[0] / slope <= q * (1 + 1e-6) for q in (1e-3, 1e-2)
    )
    if bias == 0 and at_zero:
        return 1 / slope, 0.0

    def needed(q):
        v, d, growth = means(table, q)
        if not d > 0:
            return np.nan, np.nan
        return q - v / d, growth / d

    tried = 10.0 ** np.arange(-3, 4.01, 0.1)
    with np.errstate(over="ignore", invalid="ignore"):
        biases, growths = np.array([needed(q) for q in tried]).T
    for i in range(len(tried) - 1):
        low, high = biases[i : i + 2] - bias
        if np.isfinite([low, high]).all() and (low > 0) != (high > 0):
            q = root(lambda q: needed(q)[0] - bias, tried[i], tried[i + 1])
            found, growth = needed(q)
            if growth < 1 and abs(found - bias) < 1e-6 * max(1, q):
                return 1 / means(table, q)[1], float(q)
    inside = biases[(growths < 1 - 1e-6) & (biases >= 0)]
    there = "one at 0" if at_zero else "none at any other"
    if inside.size:
        least = 0 if at_zero else inside.min()
        there = f"one from {least:.3g} to {inside.max():.3g}"
    raise ValueError(
        "The activation must have an edge of chaos that attracts at the bias variance; "
        f"{table.name} has {there}. Received: bias_variance={bias}"
    )
