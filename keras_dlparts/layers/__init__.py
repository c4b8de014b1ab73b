"""Layers, one a file."""

from keras_dlparts.layers.min_max_normalization import MinMaxNormalization
from keras_dlparts.layers.random_dropout import RandomDropout
from keras_dlparts.layers.softmax_scaling import SoftmaxScaling
from keras_dlparts.layers.whitening import Whitening
