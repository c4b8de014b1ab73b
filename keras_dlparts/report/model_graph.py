"""The rows of `model.json` -> a drawing of the model, for models with branches.

    layers     layers that follow each other without a branch share a box
    rank       the longest way to a box from an input; a rank is drawn as a row
    order      within a rank, by the mean place of the boxes it is joined to
    place      as near to that mean as the widths of the boxes let it be

An edge over several ranks gets a place in each rank between (Sugiyama et al. 1981,
"Methods for visual understanding of hierarchical system structures").
"""

import dataclasses
import itertools

from keras_dlparts.report.html import text

_LINE, _PAD, _GAP, _APART = 18, 8, 34, 18  # pixels; _GAP between ranks, _APART beside
_LETTER = 7.2  # the mean width of a letter at 12 pixels
_MOST_LETTERS = 34
_MOST_LINES = 7  # in a box; the middle of a longer chain is left out
_MOST_BOXES = 150
_SWEEPS = 8


@dataclasses.dataclass(eq=False)
class _Box:
    """A box with layers, or the place of an edge in a rank if it has none."""

    rows: list
    sources: list = dataclasses.field(default_factory=list)
    users: list = dataclasses.field(default_factory=list)
    rank: int = 0
    x: float = 0.0  # its middle
    band: tuple = (0.0, 0.0)  # the top and the bottom of its rank

    @property
    def lines(self):
        """(name, class) of each layer; the middle of many is counted only."""
        lines = [(str(row["name"]), str(row["class"])) for row in self.rows]
        if len(lines) <= _MOST_LINES:
            return lines
        half = _MOST_LINES // 2
        left_out = len(lines) - 2 * half
        return [*lines[:half], (f"{left_out} more layers", ""), *lines[-half:]]

    @property
    def width(self):
        if not self.rows:
            return 8
        longest = max(len(f"{name} {kind}") for name, kind in self.lines)
        return _LETTER * min(longest, _MOST_LETTERS) + 2 * _PAD

    @property
    def height(self):
        return _LINE * len(self.lines) + _PAD if self.rows else 0

    @property
    def top(self):
        return (sum(self.band) - self.height) / 2


def draw(rows):
    """The drawing as an SVG element; "" for a chain, and for very many boxes."""
    boxes, again = _boxes(rows)
    if len(boxes) < 2 or len(boxes) > _MOST_BOXES:
        return ""
    ranks = _ranked(boxes)
    _order(ranks)
    _place(ranks)
    return _svg(rows, ranks, again)


def _boxes(rows):
    """The boxes in the order of the rows, and edges that lead back to a row above."""
    number = {row["name"]: i for i, row in enumerate(rows)}
    named = [dict.fromkeys(row.get("from") or []) for row in rows]
    into = [[number[name] for name in names if name in number] for names in named]
    back = [(s, i) for i, sources in enumerate(into) for s in sources if s >= i]
    into = [[s for s in sources if s < i] for i, sources in enumerate(into)]
    out = [sum(i in sources for sources in into) for i in range(len(rows))]
    looped = {i for edge in back for i in edge}
    home = {}
    for i, row in enumerate(rows):
        sources = into[i]
        follows = len(sources) == 1 and out[sources[0]] == 1
        if follows and not {i, sources[0]} & looped:
            home[i] = home[sources[0]]
            home[i].rows.append(row)
            continue
        home[i] = _Box([row])
        for source in sources:
            _join(home[source], home[i])
    boxes = [*dict.fromkeys(home.values())]
    return boxes, [(home[source], home[user]) for source, user in back]


def _join(source, user):
    source.users.append(user)
    user.sources.append(source)


def _ranked(boxes):
    """The boxes rank by rank, with a place for each edge that passes a rank."""
    for box in boxes:  # sources come before their users
        box.rank = max((source.rank + 1 for source in box.sources), default=0)
    edges = [(box, user) for box in boxes for user in box.users]
    for box in boxes:
        box.sources, box.users = [], []
    for source, user in edges:
        for rank in range(source.rank + 1, user.rank):
            passing = _Box([], rank=rank)
            boxes.append(passing)
            _join(source, passing)
            source = passing
        _join(source, user)
    ranks = [[] for _ in range(max(box.rank for box in boxes) + 1)]
    for box in boxes:
        ranks[box.rank].append(box)
    return ranks


def _order(ranks):
    """Sort each rank by the mean place of the boxes above it, then of those below."""
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for rank in ranks if down else reversed(ranks):
            for i, box in enumerate(rank):
                box.x = i
        for rank in ranks[1:] if down else ranks[-2::-1]:
            joined = {box: (box.sources if down else box.users) for box in rank}
            rank.sort(key=lambda box, joined=joined: _mean(joined[box], box.x))
            for i, box in enumerate(rank):
                box.x = i


def _mean(boxes, otherwise):
    return sum(box.x for box in boxes) / len(boxes) if boxes else otherwise


def _place(ranks):
    """Give each box its place: `x`, and a band as high as its rank's tallest box."""
    for rank in ranks:
        _apart(rank, [i * 100.0 for i in range(len(rank))])
    for sweep in range(_SWEEPS):
        down = sweep % 2 == 0
        for rank in ranks[1:] if down else ranks[-2::-1]:
            wanted = [_mean(box.sources if down else box.users, box.x) for box in rank]
            _apart(rank, wanted)
    left = min(box.x - box.width / 2 for rank in ranks for box in rank)
    y = 2.0
    for rank in ranks:
        tallest = max(box.height for box in rank)
        for box in rank:
            box.x += 2 - left
            box.band = (y, y + tallest)
        y += tallest + _GAP


def _apart(rank, wanted):
    """Place boxes in their order, nearest to where they are wanted.

    Least squares under an order: neighbours that would overlap are joined to a block,
    which stands at the mean of what its boxes want (pool adjacent violators).
    """
    offsets = [0.0]
    for one, other in itertools.pairwise(rank):
        offsets.append(offsets[-1] + (one.width + other.width) / 2 + _APART)
    blocks = []
    for want, offset in zip(wanted, offsets, strict=True):
        blocks.append((want - offset, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (a, n), (b, m) = blocks[-2:]
            blocks[-2:] = [((a * n + b * m) / (n + m), n + m)]
    places = [place for place, count in blocks for _ in range(count)]
    for box, place, offset in zip(rank, places, offsets, strict=True):
        box.x = place + offset


def _svg(rows, ranks, again):
    boxes = [box for rank in ranks for box in rank]
    width = max(box.x + box.width / 2 for box in boxes) + 2
    height = ranks[-1][0].band[1] + 2
    drawn = [_edge(box, user) for box in boxes for user in box.users] + [
        _edge(source, user, ' class="again"') for source, user in again
    ]
    drawn += [_drawn(box) for box in boxes if box.rows]
    words = f"The model as a graph of {len(rows)} layers; the table lists the same"
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img" aria-label="{words}">{"".join(drawn)}</svg>'
    )


def _edge(box, user, kind=""):
    """A line from a box to another: upright within ranks, a curve between them."""
    x, y, to_x, to_y = box.x, box.band[1], user.x, user.band[0]
    begin = y if not box.rows else box.top + box.height
    end = user.band[1] if not user.rows else user.top
    middle = (y + to_y) / 2
    return (
        f'<path{kind} d="M{x:.1f} {begin:.1f}V{y:.1f}C{x:.1f} {middle:.1f} '
        f'{to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}V{end:.1f}"/>'
    )


def _drawn(box):
    left = box.x - box.width / 2
    lines = []
    for i, (name, kind) in enumerate(box.lines):
        y = box.top + _PAD / 2 + _LINE * (i + 0.72)
        room = max(4, _MOST_LETTERS - len(kind) - 1)
        short = name if len(name) <= room else f"{name[: room - 1]}…"
        lines.append(
            f'<text x="{box.x:.1f}" y="{y:.1f}">{text(short)} '
            f"<tspan>{text(kind)}</tspan></text>"
        )
    title = ", ".join(f"{row['name']} ({row['class']})" for row in box.rows)
    return (
        f"<g><title>{text(title)}</title>"
        f'<rect x="{left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" '
        f'height="{box.height:.1f}" rx="6"/>{"".join(lines)}</g>'
    )
