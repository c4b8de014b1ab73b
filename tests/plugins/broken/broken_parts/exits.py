"""A part whose module ends the process while it is imported."""

import sys

sys.exit(7)


class Exits:
    """Is never reached."""
