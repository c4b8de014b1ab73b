"""A trained model and data -> what is going on in it.

The surface, slopes and curvature of its loss, what its noise does to its answers, and
what its noise amounts to in the input; how two nets pull at each other; how a machine's
samples come to forget where they began. Each function leaves the model as it was.
"""

from keras_dlparts.analysis.fisher import fisher_diagonal
from keras_dlparts.analysis.game import GameSpectrum, game_spectrum
from keras_dlparts.analysis.landscape import (
    Landscape,
    filter_normalized,
    loss_landscape,
)
from keras_dlparts.analysis.markov import MarkovChain, gibbs_chain
from keras_dlparts.analysis.projection import project_noise
from keras_dlparts.analysis.sampling import monte_carlo
from keras_dlparts.analysis.step import along_the_step

__all__ = [
    "GameSpectrum",
    "Landscape",
    "MarkovChain",
    "along_the_step",
    "filter_normalized",
    "fisher_diagonal",
    "game_spectrum",
    "gibbs_chain",
    "loss_landscape",
    "monte_carlo",
    "project_noise",
]


def __dir__():
    return __all__
