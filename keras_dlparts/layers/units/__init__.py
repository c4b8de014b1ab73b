"""Single kinds of units: linear pieces, steps."""
