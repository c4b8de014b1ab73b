"""Layers, one a file."""

from keras_dlparts.layers.random_dropout import RandomDropout
