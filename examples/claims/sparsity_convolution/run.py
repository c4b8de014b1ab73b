"""LeNet-5, made sparse in several ways: its error and its compression."""

from examples.claims.sparsity.run import curve, run

# Of LeNet-5 on MNIST: how many times fewer weights, error in %.
PUBLISHED = {
    "pruning (Han 2015)": (12, 0.77),
    "dynamic surgery": (111, 0.91),
    "soft weight sharing": (200, 0.97),
    "sparse variational dropout": (280, 0.75),
}

__all__ = ["draw", "run"]


def draw(figure, rows):
    """The errors of all seeds over how many times fewer weights are left."""
    curve(figure, rows, PUBLISHED, most=400)
