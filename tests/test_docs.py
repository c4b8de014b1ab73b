"""The README and the docs say what is true: examples run, tables are current."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from keras_dlparts import registry, train
from keras_dlparts.config import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text, language):
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.long
def test_the_readmes_python_runs_as_printed(monkeypatch, tmp_path):
    (code,) = blocks(README, "python")
    assert len(code.strip().splitlines()) <= 10
    names = {}
    monkeypatch.setenv("CI", "true")
    monkeypatch.chdir(tmp_path)  # it saves the model
    exec(compile(code, "README.md", "exec"), names)
    history = names["model"].history.history
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.long
def test_the_first_steps_run_as_printed(monkeypatch, tmp_path):
    """One after the other, with shorter trainings."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.chdir(tmp_path)
    names = {}
    text = (ROOT / "docs/start.md").read_text(encoding="utf-8")
    code = "\n".join(blocks(text, "python"))
    for longer, shorter in [
        ("epochs=3", "epochs=1"),
        ('"epochs": 5', '"epochs": 1'),
        ("trials=4", "trials=1"),
    ]:
        assert longer in code
        code = code.replace(longer, shorter)
    exec(compile(code, "start.md", "exec"), names)
    assert names["answer"].mean.shape == (1000, 10)
    assert names["run"].status["state"] == "done"
    assert names["found"].best is not None


@pytest.mark.long
def test_the_readmes_config_trains(tmp_path):
    (text,) = blocks(README, "yaml")
    path = tmp_path / "digits.yaml"
    path.write_text(text)
    run = train(path, out=tmp_path / "runs", epochs=1)
    assert run.status["state"] == "done"


@pytest.mark.parametrize("text", blocks((ROOT / "docs/config.md").read_text(), "yaml"))
def test_the_config_pages_examples_are_yaml(text):
    value = yaml.safe_load(text)
    if isinstance(value, dict) and "model" in value:
        load(value | {"loss": "mse"})


def test_the_readmes_targets_are_in_the_makefile():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"make ([a-z-]+)", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/parts/*.md")]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", text):
            target = page.parent / link if link else page
            assert target.exists(), f"{page.name}: {link}"
            if anchor:
                assert anchor in anchors(target), f"{page.name}: {link}#{anchor}"


def anchors(page):
    """The headings of a page, as GitHub and the site name them in links."""
    text = page.read_text(encoding="utf-8")
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.long
def test_every_example_config_is_good():
    for path in sorted(ROOT.glob("examples/*.yaml")) + sorted(
        ROOT.glob("tuning/*.yaml")
    ):
        load(path)


@pytest.mark.long
def test_generated_pages_are_current(tmp_path):
    check = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    found = subprocess.run(check, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_each_part_of_ours_has_a_page():
    pages = {path.stem for path in ROOT.glob("docs/parts/*.md")}
    ours = registry.parts()
    assert {f"{p.kind}.{p.short_name}" for p in ours if p.vendor == "dlparts"} == pages
