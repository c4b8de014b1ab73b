"""Nets from inputs to outputs, layer by layer."""
