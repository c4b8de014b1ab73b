"""Branches with a shortcut around them, and what such blocks are made of."""
