"""The page's style sheet. Colours are Okabe and Ito's, safe for the colour-blind.

A notebook gets the same rules inside `.dlparts`, since a page has one sheet for all of
its cells, and follows the notebook's own theme where it says which it is.
"""

_LIGHT = """
  --paper: #f7f7f5; --card: #ffffff; --ink: #1b1d21; --muted: #5c626b; --rule: #dddfe2;
  --train: #0067a5; --val: #b84a00; --good: #00694c; --warn: #855b00; --bad: #a3201c;
  --hue-0: #0067a5; --hue-1: #b84a00; --hue-2: #00694c; --hue-3: #8a3d76;
  --hue-4: #855b00; --hue-5: #5c626b; --hue-6: #00707c; --hue-7: #a3201c;
  --tint: color-mix(in srgb, var(--train) 12%, transparent);
"""
_DARK = """
  --paper: #131518; --card: #1b1e22; --ink: #e8e9eb; --muted: #a0a7b1; --rule: #33383f;
  --train: #56b4e9; --val: #f0a03c; --good: #3fc79a; --warn: #e6b84a; --bad: #ff8a80;
  --hue-0: #56b4e9; --hue-1: #f0a03c; --hue-2: #3fc79a; --hue-3: #d99ac6;
  --hue-4: #e6d84a; --hue-5: #a0a7b1; --hue-6: #4cc8d6; --hue-7: #ff8a80;
"""
HUES = 8
_WHOLE_PAGE = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
html {{ -webkit-text-size-adjust: 100%; }}
body {{
  margin: 0 auto; padding: 2.5rem clamp(1rem, 4vw, 2.5rem) 4rem; max-width: 76rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "Liberation Sans", "DejaVu Sans", sans-serif;
}}
@media print {{ body {{ background: none; max-width: none; }} }}
"""
_PIECES = """
* { box-sizing: border-box; }
h1 { margin: 0; font-size: clamp(1.6rem, 4vw, 2.2rem); line-height: 1.15;
  font-weight: 650; letter-spacing: -.02em; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 1rem; font-size: 1.15rem; font-weight: 650;
  letter-spacing: -.01em; }
h3 { margin: 1.5rem 0 .5rem; font-size: 1rem; font-weight: 600; }
p { margin: .4rem 0; max-width: 44rem; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono",
  "DejaVu Sans Mono", monospace; font-size: .85rem; }
.top { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .9rem; }
.state { padding: .1rem .65rem; border: 1px solid currentColor; border-radius: 99px;
  font-size: .85rem; font-weight: 600; }
.done { color: var(--good); } .running { color: var(--train); }
.stopped { color: var(--warn); } .failed, .killed { color: var(--bad); }
.quiet { color: var(--muted); font-size: .9rem; }
.notice { margin: 1.25rem 0 0; padding: .8rem 1rem; background: var(--card);
  border: 1px solid var(--rule); border-left: .3rem solid currentColor;
  border-radius: .4rem; }
.notice strong { display: block; }
.notice span { color: var(--ink); white-space: pre-wrap; overflow-wrap: anywhere; }
.tiles { display: grid; gap: 1px; margin: 1.75rem 0 0; overflow: hidden;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.9rem), 1fr));
  background: var(--card); border: 1px solid var(--rule); border-radius: .6rem; }
.tiles div { display: flex; flex-direction: column; padding: .9rem 1rem;
  box-shadow: 0 0 0 1px var(--rule); }
.tiles dt { color: var(--muted); font-size: .85rem; overflow-wrap: anywhere; }
.tiles dd { margin: 0; }
.tiles .big { font-size: 1.45rem; line-height: 1.25; font-weight: 600;
  letter-spacing: -.02em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tiles small { display: block; color: var(--muted); font-size: .8rem; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.5rem; margin: -.4rem 0 .9rem;
  color: var(--muted); font-size: .9rem; }
.legend span { display: inline-flex; align-items: center; gap: .5rem; }
.legend svg { width: 1.8rem; height: .8rem; }
.panels { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 20.5rem), 1fr)); }
figure { margin: 0; padding: .9rem .9rem .5rem; background: var(--card);
  border: 1px solid var(--rule); border-radius: .6rem; min-width: 0; }
figcaption { display: flex; flex-wrap: wrap; justify-content: space-between;
  align-items: baseline; gap: 0 1rem; margin-bottom: .4rem; font-weight: 600;
  overflow-wrap: anywhere; }
figcaption small { color: var(--muted); font-weight: 400; font-size: .8rem;
  font-variant-numeric: tabular-nums; }
figure svg { display: block; width: 100%; height: auto; overflow: visible; }
figure svg text { font-family: inherit !important;
  font-variant-numeric: tabular-nums; }
.pictures { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); }
figure img { display: block; max-width: 100%; height: auto; margin: 0 auto .4rem; }
.across { overflow-x: auto; }
.scroll { overflow-x: auto; max-height: 36rem; background: var(--card);
  border: 1px solid var(--rule); border-radius: .6rem; }
table { width: 100%; border-collapse: collapse; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
caption { padding: .6rem .9rem; color: var(--muted); text-align: left;
  font-size: .85rem; }
th, td { padding: .4rem .9rem; border-top: 1px solid var(--rule); text-align: left;
  vertical-align: baseline; white-space: nowrap; }
th { font-weight: 600; }
.wrap { white-space: normal; overflow-wrap: anywhere; }
thead th { color: var(--muted); font-size: .8rem; }
tfoot td, tfoot th { border-top: 2px solid var(--rule); font-weight: 600; }
.n { text-align: right; }
td.share { background: linear-gradient(to left, var(--tint) var(--share),
  transparent 0); }
.pairs { display: grid; gap: .8rem 2rem; margin: 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.pairs dt { color: var(--muted); font-size: .85rem; }
.pairs dd { margin: 0; overflow-wrap: anywhere; }
details { margin: .8rem 0; }
summary { padding: .3rem 0; cursor: pointer; font-weight: 600; }
pre { margin: .4rem 0; padding: .9rem 1rem; overflow-x: auto; max-height: 40rem;
  line-height: 1.45; background: var(--card); border: 1px solid var(--rule);
  border-radius: .6rem; tab-size: 2; }
:focus-visible { outline: 2px solid var(--train); outline-offset: 2px; }
figure { position: relative; }
.tip { display: none; position: absolute; z-index: 1; padding: .25rem .55rem;
  max-width: calc(100% - .5rem); color: var(--muted); background: var(--card);
  border: 1px solid var(--muted); border-radius: .4rem; font-size: .8rem;
  line-height: 1.4; font-variant-numeric: tabular-nums; pointer-events: none; }
.tip div { font-weight: 600; }
.crosshair { stroke: var(--muted); stroke-width: 1; }
svg[data-curve] { touch-action: pan-y; }
.narrow { display: none; }
.legend .swatch { width: 1rem; height: .3rem; border-radius: .2rem; }
.beside { display: grid; gap: 1rem; align-items: start;
  grid-template-columns: fit-content(45%) minmax(0, 1fr); }
.graph { max-height: 36rem; overflow: auto; }
.graph svg { width: auto; max-width: none; margin: 0 auto; }
.graph rect { fill: var(--paper); stroke: var(--muted); }
.graph path { fill: none; stroke: var(--muted); stroke-width: 1.4; }
.graph .again { stroke-dasharray: 4 3; }
.graph text { fill: var(--ink); font-size: 12px; text-anchor: middle; }
.graph tspan { fill: var(--muted); }
mark { color: inherit; background: var(--tint); font-weight: 600; }
@media print { figure { break-inside: avoid; } }
@media (max-width: 46rem) {
  .wide { display: none; }
  .narrow { display: block; }
  .beside { grid-template-columns: minmax(0, 1fr); }
  .scroll { max-height: none; }
  th, td { padding: .4rem .6rem; white-space: normal; overflow-wrap: anywhere; }
  /* A table of many columns becomes a list of its rows. */
  .many, .many tbody, .many tr, .many th, .many td { display: block; }
  .many thead { position: absolute; clip-path: inset(50%); }
  .many caption { display: block; }
  .many tr { padding: .5rem 0; border-top: 1px solid var(--rule); }
  .many th, .many td { display: flex; justify-content: space-between; gap: 1rem;
    padding: .1rem .9rem; border: 0; text-align: right; }
  .many th:empty, .many td:empty { display: none; }
  .many [data-label]::before { content: attr(data-label); color: var(--muted);
    font-weight: 400; text-align: left; overflow-wrap: anywhere; }
}
"""
CSS = _WHOLE_PAGE + _PIECES
NOTEBOOK_CSS = f"""
.dlparts {{ {_LIGHT} color: var(--ink); background: var(--paper); padding: 1rem;
  border-radius: .6rem; }}
@media (prefers-color-scheme: dark) {{ .dlparts {{ {_DARK} }} }}
[data-jp-theme-light="true"] .dlparts, .vscode-light .dlparts {{ {_LIGHT} }}
[data-jp-theme-light="false"] .dlparts, .vscode-dark .dlparts {{ {_DARK} }}
.dlparts {{ {_PIECES} }}
"""
