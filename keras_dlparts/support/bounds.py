"""Annotations of numbers with their bounds, for arguments that a config may give."""

from typing import Annotated

from annotated_types import Ge, Gt, Lt

Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Lt(1)]
Count = Annotated[int, Ge(1)]
NotNegative = Annotated[int, Ge(0)]
