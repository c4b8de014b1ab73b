"""Pages as Chromium shows them."""

import re
import shutil
import subprocess

import pytest

from keras_dlparts.report import html


def browse(address, profile, scheme="light"):
    """What Chromium makes of a page, as text; it may not complain of anything."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs chromium")
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
    flags += " --disable-background-networking --disable-component-update"
    flags += " --disable-sync --enable-logging=stderr --v=0 --dump-dom"
    if scheme == "dark":
        flags += " --blink-settings=preferredColorScheme=0"
    shown = subprocess.run(
        [browser, *flags.split(), f"--user-data-dir={profile}", address],
        capture_output=True,
        text=True,
        timeout=120,
    )
    # A console line is a blocked fetch, a script error, a bad style or bad SVG.
    assert "CONSOLE" not in shown.stderr
    return shown.stdout


# In a frame as wide as a phone: move the pointer over the first curve, and measure.
PROBE = """
<script>
onload = () => {
  const frame = document.querySelector("iframe"), inner = frame.contentDocument;
  const whole = inner.documentElement;
  const svg = [...inner.querySelectorAll("svg[data-curve]")]
    .find(one => one.getBoundingClientRect().width);
  const at = svg.getBoundingClientRect();
  svg.dispatchEvent(new frame.contentWindow.PointerEvent("pointermove",
    {clientX: at.left + 0.3 * at.width, clientY: at.top + 0.5 * at.height}));
  const cut = [...inner.querySelectorAll("td, th, .tip, svg[data-curve], figure")]
    .filter(one => one.getBoundingClientRect().right > whole.clientWidth);
  const small = [...inner.querySelectorAll("figure svg text")]
    .map(one => one.getBoundingClientRect()).filter(box => box.width && box.height < 9);
  const tip = [...inner.querySelectorAll(".tip")].find(one => one.textContent);
  const said = [...tip.childNodes].map(one => one.textContent);
  document.title = [said.join(" | "),
    whole.scrollWidth - whole.clientWidth, cut.length, small.length].join("; ");
};
</script>
"""


def on_a_phone(path, folder):
    """What is seen of a page in a frame of 390 pixels, with the pointer on a curve.

    Returns: a dict: `tip`, the lines under the pointer; `beyond`, by how many pixels
    the page is wider than the frame; `cut`, how many cells and pictures reach beyond
    it; `small`, how many letters of pictures are too small to be read.
    """
    page = path.read_text("utf-8")
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    frame = '<iframe style="width:390px;height:800px;border:0" srcdoc="'
    frame += html.text(page) + '"></iframe>' + PROBE
    outer = folder / "frame.html"
    outer.write_text(f"<!doctype html><title></title>{frame}")
    shown = browse(outer.as_uri(), folder / "profile")
    tip, *counts = re.search("<title>(.*?)</title>", shown)[1].split("; ")
    numbers = dict(zip(("beyond", "cut", "small"), map(int, counts), strict=True))
    return {"tip": tip.split(" | "), **numbers}
