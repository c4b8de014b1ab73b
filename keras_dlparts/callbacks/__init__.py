"""Callbacks, one a file."""

from keras_dlparts.callbacks.gradient_flow import GradientFlow
