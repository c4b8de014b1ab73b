"""Parts that cannot be imported."""
