"""LeNet-300-100 at more compressions: its error beside pruning by magnitude."""

from examples.claims.sparsity.run import PUBLISHED, curve, run

__all__ = ["draw", "run"]


def draw(figure, rows):
    """The errors of all seeds over how many times fewer weights are left."""
    curve(figure, rows, PUBLISHED, most=100)
