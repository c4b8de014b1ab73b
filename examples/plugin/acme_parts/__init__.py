"""Parts of acme: a layer, a callback and a source of data."""

from acme_parts.gated_mlp import GatedMLP
from acme_parts.rings import Rings
from acme_parts.weight_norms import WeightNorms

__all__ = ["GatedMLP", "Rings", "WeightNorms"]
