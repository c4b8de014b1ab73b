"""A trained model and data -> what is going on in it.

The surface, slopes and curvature of its loss, what its noise does to its answers, and
what its noise amounts to in the input; how two nets pull at each other; how a machine's
samples come to forget where they began. Each function leaves the model as it was.
"""

from keras_dlparts.analysis.fisher import fisher_diagonal
from keras_dlparts.analysis.game import GameSpectrum, game_spectrum
from keras_dlparts.analysis.iteration import (
    Cycle,
    LinearDepth,
    as_map,
    cobweb,
    composed_graphs,
    fixed_points,
    iterate,
    linear_depth,
)
from keras_dlparts.analysis.jacobian import Jacobian, jacobian
from keras_dlparts.analysis.landscape import (
    Landscape,
    filter_normalized,
    loss_landscape,
)
from keras_dlparts.analysis.markov import MarkovChain, gibbs_chain
from keras_dlparts.analysis.mean_field import (
    MeanField,
    PhaseDiagram,
    mean_field,
    phase_diagram,
    through_layers,
)
from keras_dlparts.analysis.projection import project_noise
from keras_dlparts.analysis.sampling import monte_carlo
from keras_dlparts.analysis.signal_report import Signal, SignalReport, signal_report
from keras_dlparts.analysis.step import along_the_step

__all__ = [
    "Cycle",
    "GameSpectrum",
    "Jacobian",
    "Landscape",
    "LinearDepth",
    "MarkovChain",
    "MeanField",
    "PhaseDiagram",
    "Signal",
    "SignalReport",
    "along_the_step",
    "as_map",
    "cobweb",
    "composed_graphs",
    "filter_normalized",
    "fisher_diagonal",
    "fixed_points",
    "game_spectrum",
    "gibbs_chain",
    "iterate",
    "jacobian",
    "linear_depth",
    "loss_landscape",
    "mean_field",
    "monte_carlo",
    "phase_diagram",
    "project_noise",
    "signal_report",
    "through_layers",
]


def __dir__():
    return __all__
