"""What depth does to signals in a wide random net: the mean-field theory.

    q <- s_w^2 E phi(u)^2 + s_b^2,  u ~ N(0, q)        variance of pre-activations: q*
    c <- (s_w^2 E phi(u1) phi(u2) + s_b^2) / q*        correlation of two inputs: c*
    chi_1 = s_w^2 E phi'(u)^2                          a layer's factor for gradients
    xi_q = -1 / log(dq/dq at q*)    xi_c = -1 / log(s_w^2 E phi'(u1) phi'(u2) at c*)

xi_q and xi_c count the layers in which q and c come nearer to q* and c* by 1/e; nets of
about 6 xi_c layers train. With dropout of rate p, s_w^2 is divided by 1 - p in q and in
chi_1, but not in c, so that equal inputs do not stay equal and xi_c stays finite. In a
residual net p <- p + s_v^2 E phi(u)^2 with q = s_w^2 p + s_b^2, and gradients are
multiplied by 1 + s_v^2 s_w^2 E phi'(u)^2. Shapes: scalars, and arrays over layers.
Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, "Deep information
propagation", arXiv:1611.01232; Yang & Schoenholz 2017, "Mean field residual networks:
on the edge of chaos", arXiv:1712.08969.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from keras_dlparts.initializers.gaussian_means import (
    critical,
    fixed_variance,
    means,
    pair_means,
    tabulated,
)
from keras_dlparts.support.checks import check_count, check_number, check_rate


@dataclass(frozen=True)
class MeanField:
    """What `mean_field` finds.

    Args:
        activation: The activation's name.
        weight_variance: s_w^2.
        bias_variance: s_b^2.
        q: Variance of pre-activations at great depth; inf where it grows for ever.
        c: Correlation of two inputs' pre-activations at great depth.
        chi_1: What a layer multiplies the mean square of gradients by.
        xi_q: Layers in which the variance comes nearer to q by 1/e.
        xi_c: Layers in which the correlation comes nearer to c by 1/e.
    """

    activation: str
    weight_variance: float
    bias_variance: float
    q: float
    c: float
    chi_1: float
    xi_q: float
    xi_c: float

    @property
    def phase(self) -> str:
        """ "ordered": gradients vanish; "chaotic": they explode; or "critical"."""
        if abs(self.chi_1 - 1) < 1e-4:
            return "critical"
        return "ordered" if self.chi_1 < 1 else "chaotic"

    @property
    def trainable_depth(self) -> float:
        """About 6 xi_c layers, as Schoenholz et al. found."""
        return 6 * self.xi_c

    def __str__(self):
        values = ", ".join(
            f"{f.name}={getattr(self, f.name):.4g}" for f in fields(self)[3:]
        )
        return f"{self.activation}: {self.phase}, {values}"


def mean_field(
    activation: str | Callable | None,
    weight_variance: float,
    bias_variance: float = 0.0,
    dropout: float = 0.0,
    start: float = 1.0,
) -> MeanField:
    """Variance, correlation and gradient of signals at great depth in a wide net.

    Layers are dense or convolutions with weights of variance `weight_variance / n_in`.
    The integrals are exact to about 8 digits where the backend computes in float64,
    to about 5 on JAX.

    Args:
        activation: A function of Keras or its name, which works on each element.
        weight_variance: Float, `> 0`. n_in times the variance of a weight.
        bias_variance: Float, `>= 0`.
        dropout: Float, `0 <= dropout < 1`. The rate of dropout behind the activation.
        start: Float, `> 0`. The variance of the first pre-activations, where q may
            go to different places.

    Returns:
        A `MeanField`.

    Example:

    >>> found = mean_field("tanh", weight_variance=1.3, bias_variance=0.05)
    >>> print(found)
    tanh: ordered, q=0.3153, c=1, chi_1=0.8802, xi_q=1.785, xi_c=7.834

    Reference: Schoenholz et al. 2017, https://arxiv.org/abs/1611.01232
    """
    check_number("weight_variance", weight_variance, above=0)
    check_number("bias_variance", bias_variance, least=0)
    check_number("start", start, above=0)
    check_rate("dropout", dropout)
    table = tabulated(activation)
    noisy = weight_variance / (1 - dropout)
    q = fixed_variance(table, noisy, bias_variance, start)
    if not math.isfinite(q):
        # At great variances chi_1 tends to its value for a net whose variance grows.
        chi = noisy * means(table, 1e4)[1]
        return MeanField(
            table.name, weight_variance, bias_variance, q, math.nan, chi, math.inf,
            math.nan,
        )  # fmt: skip
    _, slope, growth = means(table, q)
    chi = noisy * slope
    c = _correlation(table, weight_variance, bias_variance, q, chi, dropout)
    at_c = weight_variance * (slope if c == 1 else pair_means(table, q, c)[1])
    return MeanField(
        table.name,
        weight_variance,
        bias_variance,
        q,
        c,
        chi,
        _depth(noisy * growth),
        _depth(at_c),
    )


def _depth(factor):
    """Layers in which a distance that each multiplies by a factor falls by 1/e."""
    if factor <= 0:
        return 0.0
    return math.inf if factor >= 1 - 1e-9 else -1 / math.log(factor)


def _correlation(table, variance, bias, q, chi, dropout):
    """c*: the map's fixed point that attracts, by Newton's method from 0.

    The map is a power series in c without negative coefficients, so it is convex, and
    Newton's steps go up to the lowest fixed point without passing it.
    """
    if q == 0 or (dropout == 0 and chi <= 1):
        return 1.0
    c = 0.0
    for _ in range(100):
        value, slope = pair_means(table, q, c)
        missing = (variance * value + bias) / q - c
        if missing < 1e-12 or variance * slope >= 1:
            break
        step = missing / (1 - variance * slope)
        c = min(1.0, c + step)
        if step < 1e-12 or c == 1:
            break
    return c


def through_layers(
    activation: str | Callable | None,
    weight_variance: float,
    bias_variance: float = 0.0,
    depth: int = 100,
    start: float = 1.0,
    correlation: float = 0.5,
    dropout: float = 0.0,
    branch_variance: float | None = None,
) -> dict:
    """Variance, correlation and gradient, layer by layer.

    Args:
        activation: A function of Keras or its name, which works on each element.
        weight_variance: Float, `> 0`. n_in times the variance of a weight.
        bias_variance: Float, `>= 0`.
        depth: Integer, `>= 1`. How many layers.
        start: Float, `> 0`. The variance of the first layer's pre-activations; of a
            residual net that of its input.
        correlation: Float, `0 <= correlation <= 1`. Of two inputs, at the start.
        dropout: Float, `0 <= dropout < 1`. The rate of dropout behind the activation.
        branch_variance: Optional float, `> 0`, for a residual net of blocks
            `x + V phi(W x + b)`: n_in times the variance of V.

    Returns:
        A dict of arrays over the layers, the start included: `variance`,
        `correlation`, and `gradient`, the mean square of the gradient at the layer's
        place over that at the end. Of a residual net they are of x.

    Example:

    >>> plain = through_layers("tanh", 1.0, depth=20)
    >>> deep = through_layers("tanh", 1.0, depth=20, branch_variance=1.0)
    >>> bool(plain["variance"][-1] < 0.05), bool(deep["variance"][-1] > 10)
    (True, True)

    Reference: Yang & Schoenholz 2017, https://arxiv.org/abs/1712.08969
    """
    check_number("weight_variance", weight_variance, above=0)
    check_number("bias_variance", bias_variance, least=0)
    check_count("depth", depth)
    check_number("start", start, above=0)
    check_rate("dropout", dropout)
    if not 0 <= correlation <= 1:
        raise ValueError(
            "`correlation` must be at least 0, at most 1. "
            f"Received: correlation={correlation}"
        )
    if branch_variance is not None:
        check_number("branch_variance", branch_variance, above=0)
    table = tabulated(activation)
    kept = 1 - dropout
    p, pair = start, correlation * start
    variances, pairs, factors = [p], [pair], []
    for _ in range(depth):
        residual = branch_variance is not None
        # Of a residual net p is the stream's; a layer in the branch sees q.
        q = weight_variance * p + bias_variance if residual else p
        together = weight_variance * pair + bias_variance if residual else pair
        if not math.isfinite(q) or q > 1e12:
            raise ValueError(
                f"The variance must stay below 1e12. Received: {q:.3g} after "
                f"{len(factors)} layers; take a smaller `depth` or `weight_variance`"
            )
        value, slope, _ = means(table, q)
        both, _ = pair_means(table, q, min(1.0, together / q) if q else 1.0)
        if residual:
            p += branch_variance * value / kept
            pair += branch_variance * both
            factors.append(1 + branch_variance * weight_variance * slope / kept)
        else:
            p = weight_variance * value / kept + bias_variance
            pair = weight_variance * both + bias_variance
            factors.append(weight_variance * slope / kept)
        variances.append(p)
        pairs.append(pair)
    variances, pairs = np.array(variances), np.array(pairs)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = np.where(variances > 0, pairs / variances, 1.0)
    return {
        "variance": variances,
        "correlation": correlations,
        "gradient": np.append(np.cumprod(factors[::-1])[::-1], 1.0),
    }


@dataclass(frozen=True)
class PhaseDiagram:
    """The critical line of an activation: below it order, above it chaos.

    Args:
        activation: The activation's name.
        bias_variance: Array of s_b^2, those that the edge of chaos attracts at.
        weight_variance: Array of the s_w^2 with chi_1 = 1.
        q: Array of the variance of pre-activations there.
    """

    activation: str
    bias_variance: np.ndarray
    weight_variance: np.ndarray
    q: np.ndarray

    def figure(self, points: dict | None = None):
        """A matplotlib Figure of the line.

        Args:
            points: Optional dict {label: (weight variance, bias variance)} of places
                to mark; `signal_report(...).places` are those of a model's layers.
        """
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 4), layout="constrained")
        axes = figure.add_subplot()
        line = self.weight_variance
        axes.plot(line, self.bias_variance, "k-", label=r"critical, $\chi_1 = 1$")
        alone = {"marker": "o", "color": "k", "ls": ""} if len(line) == 1 else {}
        if alone:
            axes.plot(line, self.bias_variance, **alone)
        places = {**(points or {})}
        spots = np.array(list(places.values()) or [(line[-1], 0)], "float64")
        right = max(1.3 * line.max(), 1.15 * spots[:, 0].max())
        top = max(self.bias_variance.max(), 1.15 * spots[:, 1].max(), 0.05)
        if len(line) > 1:
            axes.fill_betweenx(self.bias_variance, 0, line, color="C0", alpha=0.15)
            axes.fill_betweenx(self.bias_variance, line, right, color="C3", alpha=0.15)
            axes.text(0.03, 0.9, "ordered", transform=axes.transAxes)
            axes.text(0.97, 0.06, "chaotic", transform=axes.transAxes, ha="right")
        for i, (label, spot) in enumerate(places.items()):
            axes.plot(*spot, "o", color=f"C{i % 10}", label=label, clip_on=False)
        axes.set(xlim=(0, right), ylim=(0, top), title=self.activation)
        axes.set(xlabel=r"weight variance $\sigma_w^2$")
        axes.set(ylabel=r"bias variance $\sigma_b^2$")
        if len(places) < 9:
            axes.legend(fontsize=8)
        return figure


def phase_diagram(
    activation: str | Callable | None,
    bias_variances: Sequence[float] = tuple(np.linspace(0, 1, 21) ** 2),
) -> PhaseDiagram:
    """Where signals and gradients neither fade nor grow, for an activation.

    Args:
        activation: A function of Keras or its name, which works on each element.
        bias_variances: The s_b^2 to find the critical s_w^2 for. Those without an edge
            of chaos that attracts are left out, as all but 0 of ReLU.

    Returns:
        A `PhaseDiagram`.

    Example:

    >>> found = phase_diagram("tanh", [0.0, 0.05])
    >>> [round(float(w), 3) for w in found.weight_variance]
    [1.0, 1.761]

    Reference: Schoenholz et al. 2017, https://arxiv.org/abs/1611.01232
    """
    table = tabulated(activation)
    found, missed = [], None
    for bias in bias_variances:
        check_number("bias_variances", bias, least=0)
        try:
            found.append((bias, *critical(table, bias)))
        except ValueError as error:
            missed = error
    if not found:
        raise ValueError(str(missed)) from missed
    return PhaseDiagram(table.name, *np.array(found, "float64").T)
