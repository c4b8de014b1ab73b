"""Models from sequences to sequences."""
