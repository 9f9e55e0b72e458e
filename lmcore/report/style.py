"""The style sheet of the report.

It uses the fonts of the reader's system, is light or dark as the reader has it, and is no wider
than the screen it is read on.

A backslash at the end of a line joins it to the next one: the line break is not part of the text.
"""

STYLE = """
:root { color-scheme: light dark; --page: #fcfcfa; --card: #ffffff; --text: #1d2126; \
--muted: #5c6470; --rule: #e2e3e0; --strong: #9aa0a8;
  --h0: #0b66b8; --h1: #c2500a; --h2: #8a8f98; --h3: #8d4fa8; --h4: #0a7f5f; --h5: #b3830c; \
--h6: #c03a66; --h7: #2a8fa3; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --card: #1b1f24; --text: #e4e6e8; \
--muted: #9ca4ae; --rule: #2d333a;
  --strong: #69717b; --h0: #62aef2; --h1: #f28c4b; --h2: #a3a9b2; --h3: #c492dd; --h4: #4cc3a0; \
--h5: #e0b84a; --h6: #f07fa2; --h7:
  #69c8da; } }
.m0 { --c: var(--h0) } .m1 { --c: var(--h1) } .m2 { --c: var(--h2) } .m3 { --c: var(--h3) }
.m4 { --c: var(--h4) } .m5 { --c: var(--h5) } .m6 { --c: var(--h6) } .m7 { --c: var(--h7) }
* { box-sizing: border-box }
html { -webkit-text-size-adjust: 100% }
body { margin: 0; background: var(--page); color: var(--text); \
font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, Arial,
  sans-serif }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem }
h1 { font-size: 1.9rem; line-height: 1.2; letter-spacing: -.015em; margin: 0 0 .5rem }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 3.25rem 0 .35rem }
h3 { font-size: 1rem; margin: 2rem 0 .25rem }
h4 { font-size: .85rem; margin: 0 0 .3rem; font-weight: 600 }
p { max-width: 44rem; margin: .35rem 0 1rem }
small, .muted, .caption { color: var(--muted) }
.caption { font-size: .92rem }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; font-size: .92rem; margin-top: 1rem }
a { color: var(--h0); text-decoration-thickness: 1px; text-underline-offset: 3px }
code { font: .92em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; \
padding: 1rem 1.1rem; margin: .75rem 0 }
.scroll { overflow-x: auto; padding: 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; \
font-size: .95rem }
th, td { text-align: left; padding: .55rem .9rem; vertical-align: top; \
border-bottom: 1px solid var(--rule) }
tbody tr:last-child > * { border-bottom: 0 }
thead th { font-weight: 600; vertical-align: bottom; line-height: 1.35 }
thead small { display: block; font-weight: 400 }
tbody th { font-weight: 600; white-space: nowrap; position: sticky; left: 0; \
background: var(--card) }
tbody th i, .key i { display: inline-block; width: .6rem; height: .6rem; border-radius: 50%; \
background: var(--c); margin-right: .5rem }
td { min-width: 8.5rem }
td b { font-weight: 600; font-size: 1.08rem }
td { white-space: nowrap }
.asked { display: grid; grid-template-columns: auto 1fr; gap: .2rem 1rem; font-size: .92rem }
.asked dt { font-weight: 400 } .asked dd { margin: 0 }
.wide td small { display: block }
.wide td { min-width: 0 }
.wide th, .wide td { padding: .35rem .9rem }
svg { display: block; width: 100%; overflow: visible }
.strip { height: 10px; margin: .25rem 0 .1rem }
.grid { stroke: var(--rule) } .middle { stroke: var(--strong); stroke-dasharray: 3 3 }
.span { stroke: var(--c); stroke-width: 2; opacity: .55 } .dot { fill: var(--c) } \
line.tick { stroke: var(--text); stroke-width: 1.25;
  opacity: .7 }
.line { fill: none; stroke: var(--c); stroke-width: 2; stroke-linejoin: round } \
.faint { stroke-width: 1; opacity: .45 }
.legend { display: flex; flex-wrap: wrap; gap: .15rem 1.1rem; font-size: .88rem; \
align-items: center }
.key i { margin-right: .4rem } .key, .note { white-space: nowrap } .note { color: var(--muted) }
.key b.tick { display: inline-block; width: 2px; height: .8rem; background: var(--text); \
margin-right: .45rem; vertical-align: -2px }
.axis-name { font-size: .82rem; color: var(--muted); margin: .6rem 0 .4rem } \
.axis-name.end { text-align: right; margin: .1rem 0 0 }
.plot { display: grid; grid-template-columns: 2.4rem 1fr; padding-right: .6rem }
.area { height: 17rem }
.y { position: relative } .y span { position: absolute; right: .6rem; transform: translateY(-50%) }
.x { position: relative; height: 1.4rem } .x span { position: absolute; \
transform: translateX(-50%); top: .15rem }
.plot .x { grid-column: 2 }
.x, .y { font-size: .8rem; color: var(--muted); font-variant-numeric: tabular-nums; \
white-space: nowrap }
.row { display: grid; grid-template-columns: 15.5rem 1fr; align-items: center; \
padding-right: 1.1rem }
.row .label { font-size: .88rem; line-height: 1.25; padding-right: 1rem }
.dots .row + .row { border-top: 1px solid var(--rule) }
.sticky { position: sticky; top: 0; background: var(--card); padding: .5rem 0 .1rem; z-index: 1; \
border-bottom: 1px solid var(--rule) }
.scale { margin-top: .3rem }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.6rem, 1fr)); \
gap: 1.1rem 1.4rem }
.bars { height: 4.6rem; border-bottom: 1px solid var(--strong) } .bars rect { fill: var(--c) } \
.mean { fill: var(--text) }
.panel .x { margin-top: .35rem } .panel h4 small { font-weight: 400; white-space: nowrap }
details { margin: .75rem 0 } summary { cursor: pointer; padding: .3rem 0 }
dt { font-weight: 600 } dd { margin: 0 0 .7rem; color: var(--muted); max-width: 44rem }
footer { margin-top: 3rem; font-size: .9rem; color: var(--muted) }
@media (max-width: 40rem) { main { padding: 1.5rem .9rem 3rem } \
.row { grid-template-columns: 1fr; padding: 0 .8rem } .row .label {
  padding: .45rem 0 0 }
  .card { padding: .8rem .75rem } .scroll { padding: 0 } th, td { padding: .5rem .65rem } \
td { min-width: 7.6rem } .area { height: 13rem
  } }
@media print { .sticky { position: static } details > * { display: block } }
"""
