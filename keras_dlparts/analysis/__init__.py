"""Looking at the loss of a trained model: its surface, its slopes, its curvature.

Each function leaves the model exactly as it was.
"""

from keras_dlparts.analysis.fisher import fisher_diagonal
from keras_dlparts.analysis.landscape import (
    Landscape,
    filter_normalised,
    loss_landscape,
)
from keras_dlparts.analysis.step import along_the_step
