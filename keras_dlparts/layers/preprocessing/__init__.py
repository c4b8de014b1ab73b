"""Layers that adapt to the training data before the training begins."""
