"""Whole units: which units of a model may go, and which of them matter least.

A unit is a column of a Dense kernel or a filter, with the weights that read it in the
layer after, of two linear layers between which `compact` can take units out.

    u_k = sum of the squared scores of its weights / how many of them are left

The unit of the least u_k goes first, until no more weights are left than asked for; a
layer's last unit stays.
"""

import collections

import numpy as np
from keras import ops

from keras_dlparts import graphs
from keras_dlparts.surgery.links import by_unit, links_of


def links_between(model, layers):
    """The links whose two layers are both among the given ones, which wrap a layer."""
    chosen = {id(layer) for layer in layers}
    return [
        link
        for part in graphs.layers(model)
        if graphs.has_graph(part)
        for link in links_of(part, lambda layer: getattr(layer, "layer", layer))
        if id(link.first) in chosen and id(link.second) in chosen
    ]


def without_units(links, layers, scores, stay):
    """Which weights stay if units go until at most `stay` weights are left.

    Args:
        links: Of `links_between`.
        layers: The layers whose weights are counted.
        scores: An array a layer, how much each weight matters.
        stay: Integer.

    Returns: a boolean array a layer.
    """
    places = {id(layer): i for i, layer in enumerate(layers)}
    kept = [ops.convert_to_numpy(layer.keep) > 0 for layer in layers]
    squares = [
        np.square(score) * keep for score, keep in zip(scores, kept, strict=True)
    ]
    units = []  # (u_k, the weights of k in both layers as views of `kept`, its link)
    for link in links:
        first, second = places[id(link.first)], places[id(link.second)]
        width = kept[first].shape[-1]
        after = by_unit(kept[second], width)
        matters = squares[first].reshape(-1, width).sum(0)
        matters += by_unit(squares[second], width).sum((*range(after.ndim - 2), -1))
        for k in range(width):
            own = kept[first][..., k], after[..., k, :]
            if count := sum(map(np.count_nonzero, own)):
                units.append((matters[k] / count, own, id(link)))
    left = sum(map(np.count_nonzero, kept))
    of_link = collections.Counter(link for *_, link in units)
    for _, own, link in sorted(units, key=lambda unit: unit[0]):
        if left <= stay:
            break
        if of_link[link] > 1:
            left -= sum(map(np.count_nonzero, own))
            of_link[link] -= 1
            for weights in own:
                weights[...] = False
    return kept
