"""Small pieces of HTML. Whatever comes from outside passes through `text`."""

import html
import math


def text(value):
    """A value as escaped HTML text, fit for attributes too."""
    return html.escape(str(value), quote=True)


def number(value):
    """A figure for reading: four significant digits, or "–" where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return f"{value:.4g}"


def duration(seconds):
    """12.3 -> "12.3 s", 754 -> "12 min 34 s", 11000 -> "3 h 3 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds} s"
    return f"{minutes // 60} h {minutes % 60} min"


MANY = 4  # columns; a table of more becomes a list of its rows on a narrow screen


def cell(value, label=""):
    """A table cell; numbers stand right, in columns of digits.

    Args:
        value: What is in it.
        label: The column's name, where the table has many columns.
    """
    label = f' data-label="{text(label)}"' if label else ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="n"{label}>{number(value)}</td>'
    return f"<td{label}>{text('' if value is None else value)}</td>"


def table(rows, caption):
    """A list of dicts as a table: a dict a row, its keys the columns."""
    if not rows:
        return f"<p>{text(caption)}: no rows.</p>"
    columns = list(dict.fromkeys(key for row in rows for key in row))
    numeric = {
        c
        for c in columns
        if all(isinstance(row.get(c, 0), int | float) for row in rows)
    }
    head = "".join(
        f'<th scope="col"{" class=n" if c in numeric else ""}>{text(c)}</th>'
        for c in columns
    )
    many = len(columns) > MANY
    body = "".join(
        "<tr>"
        + "".join(cell(row.get(c), c if many else "") for c in columns)
        + "</tr>\n"
        for row in rows
    )
    return framed_table(caption, head, body, many=many)


def framed_table(caption, head, body, foot="", many=False):
    """A table in a frame that scrolls, by keyboard too.

    Args:
        caption: What the table is of.
        head: The cells of its head.
        body: Its rows.
        foot: The row at its foot.
        many: Whether it has many columns: then it is a list of its rows on a narrow
            screen, where each cell shows its `data-label`.
    """
    foot = f"<tfoot>{foot}</tfoot>" if foot else ""
    kind = ' class="many"' if many else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f"<table{kind}><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody>{foot}</table></div>"
    )


def pairs(items):
    """Names and values as a description list; empty values are left out."""
    return (
        '<dl class="pairs">'
        + "".join(
            f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>"
            for k, v in items
            if v not in (None, "", [], {})
        )
        + "</dl>"
    )


def folded(summary, content, opened=False):
    """Content that a click unfolds."""
    state = " open" if opened else ""
    return f"<details{state}><summary>{text(summary)}</summary>{content}</details>"


def figure(title, note, picture):
    """A picture under its title, with a note beside the title."""
    note = f"<small>{text(note)}</small>" if note else ""
    caption = f"<figcaption><span>{text(title)}</span>{note}</figcaption>"
    return f"<figure>{caption}{picture}</figure>\n"


def section(title, content):
    """A section with a heading; nothing for no content."""
    if not content:
        return ""
    title = text(title)
    return f'<section aria-label="{title}"><h2>{title}</h2>{content}</section>\n'
