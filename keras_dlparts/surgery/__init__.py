"""A trained model -> another one: folded, recalibrated, stripped, compacted."""
