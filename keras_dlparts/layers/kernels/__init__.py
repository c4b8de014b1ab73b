"""Layers that compare their input with templates."""
