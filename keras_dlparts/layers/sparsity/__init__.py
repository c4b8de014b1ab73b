"""Layers that learn which weights a model can do without."""
