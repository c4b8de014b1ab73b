"""Write the pages of the parts and their lists, and the claims' page and tables.

python docs/generate.py            write them
python docs/generate.py --check    fail if any is not current
"""

import ast
import importlib.util
import itertools
import sys
from pathlib import Path

from keras_dlparts import registry, static

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))
sys.path.append(str(ROOT))  # behind the installed package

import formulas  # noqa: E402

from examples.claims import gallery, tables  # noqa: E402

PACKAGE = Path(importlib.util.find_spec("keras_dlparts").origin).parent
BEGIN, END = "<!-- parts: written by docs/generate.py -->", "<!-- /parts -->"


def ours():
    return [part for part in registry.parts() if part.vendor == "dlparts"]


def page(part):
    """One part's page."""
    module, _, name = part.target.partition(":")
    about = static.describe(part.target)
    title, _, rest = about.module_doc.partition("\n")
    rows = [
        f"| `{one.name}` | {_code(one.annotation, '')} | {_code(one.default)} |"
        for one in about.parameters
    ]
    summary, _, doc = about.doc.partition("\n")
    lines = [
        f"# {part.short_name}",
        "",
        summary,
        "",
        "```python",
        f"from {module} import {name}",
        "```",
        "",
        f"In a config: `use: {part.short_name}`, among the {part.kind}.",
        "",
        "## What it computes",
        "",
        title,
        "",
        *_method(rest),
        "## How it is used",
        "",
        "\n".join(_sections(doc)).strip().replace("\n\n\n", "\n\n"),
        "",
        "## Arguments",
        "",
        "| argument | type | default |",
        "|---|---|---|",
        *rows,
    ]
    return "\n".join(lines).rstrip() + "\n"


def _method(text):
    """What a module's docstring says below its title, as Markdown.

    Indented blocks are formulas, shown as mathematics; tables and the like stay text.
    """
    for paragraph in text.strip("\n").split("\n\n"):
        for indented, lines in itertools.groupby(
            paragraph.splitlines(), key=lambda line: line.startswith("    ")
        ):
            block = "\n".join(lines)
            yield _formula(block) if indented else formulas.prose(block)
            yield ""


def _formula(block):
    try:
        return f"```math\n{formulas.display(block)}\n```"
    except formulas.NotMathematics:
        return f"```text\n{block}\n```"


def _code(source, missing="required"):
    """A piece of source in a cell of a table, where `|` would end the cell."""
    return missing if source is None else f"`{source}`".replace("|", "\\|")


def _sections(doc):
    """A docstring as Markdown: sections as headings, examples as code."""
    lines, fenced = doc.splitlines(), False
    for i, line in enumerate(lines):
        example = line.startswith((">>>", "..."))
        inside = fenced and line.strip() != ""
        if example and not fenced:
            yield "```python"
            fenced = True
        elif fenced and not (example or inside):
            yield "```"
            fenced = False
        if line.endswith(":") and not line.startswith(" ") and _heads(lines, i):
            yield f"**{line.removesuffix(':')}**\n"
        elif not fenced and line.startswith("    ") and not line.startswith("     "):
            name, colon, rest = line.strip().partition(":")
            yield (
                f"- `{name}`:{rest}"
                if colon and name.isidentifier()
                else f"- {line.strip()}"
            )
        elif not fenced and line.startswith("     "):
            yield f"  {line.strip()}"
        else:
            yield line
    if fenced:
        yield "```"


def _heads(lines, i):
    """Whether a line ending in a colon heads an indented block or an example."""
    following = next((line for line in lines[i + 1 :] if line), "")
    return following.startswith(("    ", ">>>"))


def table():
    """The README's table of parts."""
    rows = ["| part | kind | what it is |", "|---|---|---|"]
    for part in ours():
        summary = _first_line(static.describe(part.target).doc)
        link = f"[`{part.short_name}`](docs/parts/{file_of(part)})"
        rows.append(f"| {link} | {part.kind} | {summary} |")
    return "\n".join(rows)


def families():
    """{folder of the package: its parts}, in the folders' order."""
    found = {}
    for part in ours():
        about = static.describe(part.target)
        home = Path(about.path).relative_to(PACKAGE).parent.as_posix()
        found.setdefault(home, []).append(part)
    return dict(sorted(found.items()))


def index():
    """The documentation's list of parts, by the folders that they stand in."""
    for home, parts in families().items():
        source = PACKAGE / home / "__init__.py"
        doc = ast.get_docstring(ast.parse(source.read_text("utf-8")))
        lines = [
            f"- [`{part.short_name}`](parts/{file_of(part)}): "
            + _first_line(static.describe(part.target).doc)
            for part in parts
        ]
        yield f"### {home}\n\n{_first_line(doc)}\n\n" + "\n".join(lines)


def _first_line(doc):
    return doc.partition("\n")[0]


def file_of(part):
    return f"{part.kind}.{part.short_name}.md"


def files():
    """{path: text} of everything that is generated."""
    found = {ROOT / "docs" / "parts" / file_of(part): page(part) for part in ours()}
    found[ROOT / "docs/claims.md"] = gallery.markdown()
    lists = {
        ROOT / "README.md": table(),
        ROOT / "docs" / "README.md": "\n" + "\n\n".join(index()) + "\n",
    }
    for path, text in lists.items():
        before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        found[path] = f"{before}{BEGIN}\n{text}\n{END}{after}"
    for path in (ROOT / "docs").glob("*.md"):
        if path not in found:
            found[path] = tables.placed(path.read_text(encoding="utf-8"))
    return found


def main(arguments):
    wanted = files()
    stale = {*(ROOT / "docs" / "parts").glob("*.md")} - wanted.keys()
    changed = [
        path
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for path in sorted([*changed, *stale]):
            print(f"not current: {path.relative_to(ROOT)}; run `make docs`")
        return 1 if changed or stale else 0
    (ROOT / "docs" / "parts").mkdir(exist_ok=True)
    for path in changed:
        path.write_text(wanted[path], encoding="utf-8")
    for path in stale:
        path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
