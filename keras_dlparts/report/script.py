"""The page's only script: it shows the values of a curve under the pointer.

Every value is in the page's tables too. The page allows this script by its hash and no
other, whatever a name or a message holds.

A picture says in `data-curve` what is drawn, as JSON: `at`, the place of each point on
the horizontal axis; `series`, a list of [label, values, colour]; `box`, where the axes
are in the picture: left, top, width, height; `x` and `y`, the limits of the axes;
`log`, whether the upright axis is logarithmic; `unit`, what is counted on the other.
The arrow keys move as the pointer does.
"""

import base64
import hashlib

SCRIPT = """
"use strict";
for (const svg of document.querySelectorAll("svg[data-curve]")) {
  const curve = JSON.parse(svg.dataset.curve);
  const [left, top, width, height] = curve.box;
  const scale = curve.log ? Math.log : Number;
  const [low, high] = curve.y.map(scale);
  const across = at => left + width * (at - curve.x[0]) / (curve.x[1] - curve.x[0]);
  const down = value => top + height * (1 - (scale(value) - low) / (high - low));
  const few = curve.series.length <= 8;
  const layer = document.createElementNS(svg.namespaceURI, "g");
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "status");
  const outer = svg.closest("figure");
  svg.append(layer);
  outer.append(tip);
  svg.tabIndex = 0;
  let index = null;

  const draw = (tag, attributes) => {
    const made = document.createElementNS(svg.namespaceURI, tag);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    layer.append(made);
  };
  const hide = () => { index = null; layer.replaceChildren(); tip.style.display = ""; };
  const show = (chosen, height_at) => {
    let seen = curve.series.filter(one => one[1][chosen] !== null);
    if (!seen.length) return hide();
    if (!few) {
      const far = one => Math.abs(down(one[1][chosen]) - height_at);
      seen = [seen.reduce((best, one) => far(one) < far(best) ? one : best)];
    }
    index = chosen;
    const x = across(curve.at[index]);
    layer.replaceChildren();
    draw("path", {d: `M${x} ${top}V${top + height}`, class: "crosshair"});
    for (const [, values, colour] of seen)
      draw("circle", {cx: x, cy: down(values[index]), r: 3.5, fill: colour});
    tip.replaceChildren(`${curve.unit} ${curve.at[index]}`);
    for (const [label, values, colour] of seen) {
      const row = document.createElement("div");
      row.style.color = colour;
      row.textContent = `${label} ${values[index]}`;
      tip.append(row);
    }
    tip.style.display = "block";
    const frame = svg.getBoundingClientRect(), around = outer.getBoundingClientRect();
    const to = frame.left - around.left + x * frame.width / svg.viewBox.baseVal.width;
    const room = around.width - tip.offsetWidth - 4;
    const left_of = to + 12 > room ? to - tip.offsetWidth - 12 : to + 12;
    tip.style.left = `${Math.max(4, Math.min(left_of, room))}px`;
    // Above the curves where they are low here, and below where they are high.
    const mean = seen.reduce((sum, one) => sum + down(one[1][index]), 0) / seen.length;
    const foot = (top + height) * frame.width / svg.viewBox.baseVal.width;
    const below = mean < top + height / 2 ? foot - tip.offsetHeight - 4 : 0;
    tip.style.top = `${frame.top - around.top + below}px`;
  };
  const nearest = event => {
    const frame = svg.getBoundingClientRect();
    const factor = svg.viewBox.baseVal.width / frame.width;
    const x = (event.clientX - frame.left) * factor;
    const y = (event.clientY - frame.top) * factor;
    let best = 0;
    curve.at.forEach((at, i) => {
      if (Math.abs(across(at) - x) < Math.abs(across(curve.at[best]) - x)) best = i;
    });
    show(best, y);
  };
  svg.addEventListener("pointermove", nearest);
  svg.addEventListener("pointerdown", nearest);
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", event => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (event.key === "Escape") hide();
    if (!step) return;
    event.preventDefault();
    const last = curve.at.length - 1;
    const begin = step > 0 ? -1 : last + 1;
    show(Math.max(0, Math.min(last, (index ?? begin) + step)), top + height);
  });
}
"""
HASH = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
