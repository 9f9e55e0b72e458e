/* Draws the figures of the page: each specification of Vega-Lite that stands in it as JSON. THEME is
   the configuration with names of the page's colours in place of colours. Expressions of Vega are
   interpreted, never evaluated as code, so that the page's policy can forbid that. A figure that was
   drawn has an event `drawn` with its view. */
"use strict";

const NARROW = 480; /* pixels of a figure below which its labels are cut earlier */
const STORE = "picked_store"; /* where Vega keeps the series that were picked in a legend */
const views = new Map(); /* by element */

/* The theme in the colours that the page has now, which a probe finds out. */
function themed(width) {
  const probe = document.body.appendChild(document.createElement("i"));
  const colour = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const text = JSON.stringify(THEME, (key, value) =>
    typeof value === "string" && value.startsWith("--") ? colour(value) : value);
  probe.remove();
  const config = JSON.parse(text);
  if (width < NARROW) config.axis.labelLimit = 110;
  return config;
}

/* What is picked in the legend of one figure is picked in all that show the same series. */
function linked(element, view) {
  try {
    view.addDataListener(STORE, (_, picked) => {
      for (const [other, otherView] of views) {
        if (other === element || !sameSeries(other, element)) continue;
        const now = JSON.stringify(otherView.data(STORE));
        if (now !== JSON.stringify(picked)) otherView.data(STORE, picked).runAsync();
      }
    });
  } catch {
    return; /* a figure without a legend */
  }
  views.set(element, view);
}

function sameSeries(one, other) {
  return one.dataset.series === other.dataset.series;
}

/* The names of a legend can be reached by Tab and picked by Enter, as by a click. */
function reachable(element) {
  for (const label of element.querySelectorAll(".role-legend-label text")) {
    label.setAttribute("tabindex", "0");
    label.setAttribute("role", "button");
    label.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      label.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    });
  }
}

/* The series of a figure, as text: the field of its colours, and their domain. */
function seriesOf(spec) {
  const layers = spec.layer ?? [spec];
  for (const layer of layers) {
    const colour = layer.encoding?.color;
    if (colour?.scale?.domain) return JSON.stringify([colour.field, colour.scale.domain]);
  }
  return "";
}

async function draw(figure) {
  const element = figure.querySelector(".drawn");
  const script = figure.querySelector("script[data-figure]");
  const spec = JSON.parse(script.textContent);
  element.dataset.series = seriesOf(spec);
  views.get(element)?.finalize();
  const result = await window.vegaEmbed(element, spec, {
    ast: true,
    renderer: "svg",
    config: themed(element.clientWidth),
    downloadFileName: script.dataset.figure,
    actions: { export: true, source: false, compiled: false, editor: false },
  });
  element.querySelector("summary")?.setAttribute("aria-label", "Save this figure");
  linked(element, result.view);
  reachable(element);
  figure.dispatchEvent(new CustomEvent("drawn", { detail: result.view }));
}

async function drawAll() {
  for (const figure of document.querySelectorAll("figure.figure")) await draw(figure);
  document.documentElement.dataset.figures = "drawn";
}

let waiting;
function redraw() {
  clearTimeout(waiting);
  waiting = setTimeout(drawAll, 50);
}

document.addEventListener("DOMContentLoaded", () => {
  drawAll();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  const changed = new MutationObserver(redraw);
  changed.observe(document.documentElement, { attributeFilter: ["style", "class", "data-theme"] });
});
