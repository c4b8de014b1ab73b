"""Layers that drop, or add noise to, what passes through them."""
