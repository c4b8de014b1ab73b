"""The claims are read from the source, where `examples` is."""

import sys
from pathlib import Path

# Behind the installed package, which is what is tested.
sys.path.append(str(Path(__file__).resolve().parents[2]))
