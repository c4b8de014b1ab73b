"""Layers that normalise weights or activations."""
