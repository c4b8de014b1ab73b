"""What parts show of themselves -> sections of the page.

The interface is described in `keras_dlparts.report`.
"""

import base64
import io
import traceback

from keras_dlparts.report.html import figure, folded, section, table, text

_SVG_LIMIT = 400_000  # bytes; above it a picture is smaller as pixels


def section_of(run, part):
    """The section of a part that offers figures."""
    figures = getattr(part, "figures", None)
    if not callable(figures):
        return ""
    kind, name = type(part).__name__, getattr(part, "name", None)
    title = f"{kind} {name}" if name else kind
    try:
        pictures = [
            _picture(str(title), picture) for title, picture in figures(run).items()
        ]
    except Exception as error:  # a plugin's mistake must not cost the report
        trace = text("".join(traceback.format_exception(error)))
        said = f"{type(error).__name__}: {error}"
        content = (
            f'<div class="notice failed"><strong>figures(run) of {text(kind)} failed'
            f"</strong><span>{text(said)}</span></div>"
            + folded("Traceback", f"<pre>{trace}</pre>")
        )
    else:
        content = f'<div class="pictures">{"".join(pictures)}</div>' if pictures else ""
    return section(title, content)


def _picture(title, picture):
    """A part's picture: its own colours on a white ground, or a table."""
    if isinstance(picture, list) and all(isinstance(row, dict) for row in picture):
        return table(picture, title)
    if not hasattr(picture, "savefig"):
        raise TypeError(
            "a picture is a matplotlib Figure or a list of dicts. "
            f"Received: {title!r} of type {type(picture).__name__}"
        )
    form = "svg+xml"
    file = io.BytesIO()
    picture.savefig(file, format="svg", bbox_inches="tight", facecolor="white")
    if file.tell() > _SVG_LIMIT:
        form, file = "png", io.BytesIO()
        picture.savefig(
            file, format="png", dpi=150, bbox_inches="tight", facecolor="white"
        )
    data = base64.b64encode(file.getvalue()).decode()
    image = f'<img alt="{text(title)}" src="data:image/{form};base64,{data}">'
    return figure(title, "", image)
