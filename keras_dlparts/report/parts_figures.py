"""What parts show of themselves -> sections of the page.

The interface is described in `keras_dlparts.report`.
"""

import base64
import contextlib
import io
import re
import traceback

from keras_dlparts.report.html import figure, folded, section, table, text

_SVG_LIMIT = 400_000  # bytes; above it what is inside the axes is drawn as pixels
# An image is a document of its own: it does not see the page's colours, but it does see
# whether the reader prefers dark ones. matplotlib leaves black out, the default of SVG.
_SCHEME = (
    "<style>:root{color:#1b1d21;fill:currentColor}"
    "@media (prefers-color-scheme:dark){:root{color:#e8e9eb}}</style>"
)


def section_of(run, part):
    """The section of a part that offers figures."""
    figures = getattr(part, "figures", None)
    if not callable(figures):
        return ""
    kind, name = type(part).__name__, getattr(part, "name", None)
    title = f"{kind} {name}" if name else kind
    try:
        content = drawn(figures(run))
    except Exception as error:  # a plugin's mistake must not cost the report
        trace = text("".join(traceback.format_exception(error)))
        said = f"{type(error).__name__}: {error}"
        content = (
            f'<div class="notice failed"><strong>figures(run) of {text(kind)} failed'
            f"</strong><span>{text(said)}</span></div>"
            + folded("Traceback", f"<pre>{trace}</pre>")
        )
    return section(title, content)


def drawn(figures):
    """The figures of a part, `{title: picture}`, as HTML; "" for none."""
    pictures = [_picture(str(title), picture) for title, picture in figures.items()]
    return f'<div class="pictures">{"".join(pictures)}</div>' if pictures else ""


def _picture(title, picture):
    """A part's picture on the page's ground, or a table."""
    if isinstance(picture, list) and all(isinstance(row, dict) for row in picture):
        return table(picture, title)
    if not hasattr(picture, "savefig"):
        raise TypeError(
            "a picture is a matplotlib Figure or a list of dicts. "
            f"Received: {title!r} of type {type(picture).__name__}"
        )
    svg = _svg(picture)
    if len(svg) > _SVG_LIMIT:
        with _rasterized(picture):
            svg = _svg(picture)
    # On a phone a picture may shrink to where its letters can still be read, no more.
    width = float(re.search(r'width="([\d.]+)pt"', svg)[1])
    data = base64.b64encode(_in_both_schemes(svg).encode()).decode()
    image = f'<img alt="{text(title)}" style="min-width:{0.75 * width:.0f}px" '
    image += f'src="data:image/svg+xml;base64,{data}">'
    return figure(title, "", f'<div class="across" tabindex="0">{image}</div>')


def _svg(picture):
    """A matplotlib Figure as an SVG file's text; its own ground is left out."""
    file = io.StringIO()
    picture.savefig(file, format="svg", bbox_inches="tight", facecolor="none", dpi=150)
    return file.getvalue()


@contextlib.contextmanager
def _rasterized(picture):
    """What is inside the axes becomes pixels; their letters and frames do not."""
    artists = [
        artist
        for axes in picture.axes
        for artist in (*axes.collections, *axes.lines, *axes.patches)
    ]
    before = [artist.get_rasterized() for artist in artists]
    for artist in artists:
        artist.set_rasterized(True)
    try:
        yield
    finally:
        for artist, was in zip(artists, before, strict=True):
            artist.set_rasterized(was)


def _in_both_schemes(svg):
    """Black becomes the ink of the reader's colour scheme, white its ground.

    Only letters and lines of plain black and fills of plain white are meant, which are
    matplotlib's defaults; a colour that a part chose stays.
    """
    svg = re.sub(r"(stroke|fill): #000000", r"\1: currentColor", svg)
    svg = re.sub(r"fill: #ffffff", "fill: none", svg)
    head = svg.index("<svg")
    after = svg.index(">", head) + 1
    return svg[:after] + _SCHEME + svg[after:]
