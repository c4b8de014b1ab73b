"""Nets that learn against each other."""
