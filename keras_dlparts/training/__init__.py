"""A config -> a run."""

from keras_dlparts.training.log import NonFiniteError
from keras_dlparts.training.look import evaluate, write_report
from keras_dlparts.training.loop import train
from keras_dlparts.training.run import Run
