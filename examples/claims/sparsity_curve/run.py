"""LeNet-300-100 at more compressions: its error beside pruning by magnitude."""

from examples.claims.claim import load
from examples.claims.sparsity.run import PUBLISHED, curve, run

__all__ = ["draw", "run"]


def draw(figure, rows):
    """The errors of all seeds over how many times fewer weights are left.

    The rows of the claim on 1 in 20 and 1 in 80, which were trained alike, are part of
    the curve.
    """
    epochs = rows[0]["settings"]["epochs"]
    others = load("sparsity").rows("hours")
    alike = [row for row in others if row["settings"]["epochs"] == epochs]
    curve(figure, [*alike, *rows], PUBLISHED, most=100)
