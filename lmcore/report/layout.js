/* What a page does beyond being read: its tables can be sorted, filtered and narrowed down to some
   columns, and its colours chosen. Everything is readable without it. Names come from data: they
   are put in as text, never as HTML. Nothing leaves the page. */
"use strict";

const NUMBER = /^[-−+]?(\d[\d,]*)?\.?\d+(e[-+]?\d+)?/i;
const NARROW = 640; /* pixels; on a phone, one swipes through all columns */

/* What a reader chose is kept by the browser, where it lets us. */
function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(`lmcore ${location.pathname} ${name}`));
  } catch {
    return null;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(`lmcore ${location.pathname} ${name}`, JSON.stringify(value));
  } catch {
    /* then it holds until the page is closed */
  }
}

function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function button(text, onclick) {
  return make("button", { type: "button", onclick }, text);
}

/* ---- Sorting ---- */

/* What a cell is sorted by: the number that it begins with, else its text; null for a dash. */
function sortKey(cell) {
  const text = cell.textContent.trim();
  if (text === "" || text === "–") return null;
  const number = cell.tagName === "TD" && text.match(NUMBER);
  return number ? parseFloat(number[0].replaceAll(",", "").replace("−", "-")) : text.toLowerCase();
}

/* Negative where key `a` comes before `b`: numbers, then texts; empty ones last in both orders. */
function compare(a, b, sign) {
  if (a === null || b === null) return (a === null) - (b === null);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b));
}

/* A click on a head sorts: the best or the first on top, then the other way, then as it was. */
function makeSortable(table) {
  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells];

  function sortBy(head) {
    const column = heads.indexOf(head);
    const keys = new Map(rows.map((row) => [row, sortKey(row.cells[column])]));
    const hasNumbers = [...keys.values()].some((key) => typeof key === "number");
    const isLow = !hasNumbers || head.textContent.includes("↓");
    const orders = isLow ? ["ascending", "descending"] : ["descending", "ascending"];
    const order = [...orders, null][orders.indexOf(head.ariaSort) + 1];
    for (const other of heads) other.removeAttribute("aria-sort");
    let sorted = rows;
    if (order) {
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      sorted = [...rows].sort((a, b) => compare(keys.get(a), keys.get(b), sign));
    }
    table.tBodies[0].append(...sorted);
  }

  for (const head of heads.filter((cell) => cell.tagName === "TH")) {
    const words = [...head.childNodes].filter((node) => node.nodeName !== "SMALL");
    const sorter = button("", () => sortBy(head));
    sorter.title = "sort by this column";
    head.prepend(sorter);
    sorter.append(...words);
  }
}

/* ---- The rows and columns that are shown ---- */

function rowFilter(table) {
  const rows = [...table.tBodies[0].rows];
  const count = make("output", { className: "muted" });
  const field = make("input", { type: "search", autocomplete: "off" });
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    }
    const shown = rows.filter((row) => !row.hidden).length;
    count.value = wanted ? `${shown} of ${rows.length} rows` : "";
  });
  return make("div", {}, make("label", {}, "Rows whose name holds", field), " ", count);
}

/* Which columns are shown: those that fit, until the reader chooses. */
function columnChoice(box, table) {
  const rows = [...table.rows];
  const heads = [...table.tHead.rows[0].cells].slice(1);
  const names = heads.map((head) => (head.querySelector("button") ?? head).textContent.trim());
  const count = make("output", {});
  const boxes = names.map((name, i) => {
    const checked = () => choose(names.filter((_, j) => !boxes[j].checked));
    return make("input", { type: "checkbox", name: `column ${i}`, onchange: checked });
  });

  function show(isHidden) {
    names.forEach((name, i) => {
      boxes[i].checked = !isHidden(name, i);
      for (const row of rows) row.cells[i + 1].hidden = isHidden(name, i);
    });
    count.value = `${boxes.filter((one) => one.checked).length} of ${names.length}`;
  }

  function showWhatFits() {
    show(() => false);
    if (innerWidth < NARROW || table.offsetWidth <= box.clientWidth) return;
    let right = table.rows[0].cells[0].offsetWidth;
    const ends = heads.map((head) => (right += head.offsetWidth));
    show((name, i) => i > 0 && ends[i] > box.clientWidth);
  }

  let hidden = kept(box.dataset.name);

  function choose(names) {
    hidden = names;
    keep(box.dataset.name, hidden);
    update();
  }

  function update() {
    if (Array.isArray(hidden)) show((name) => hidden.includes(name));
    else showWhatFits();
  }

  const labels = names.map((name, i) => make("label", {}, boxes[i], name));
  const choices = make("div", { className: "choices", role: "group" }, ...labels);
  choices.setAttribute("aria-label", "Columns that are shown");
  const all = button("All columns", () => choose([]));
  const fitting = button("What fits", () => choose(null));
  const buttons = make("div", { className: "buttons" }, all, fitting);
  update();
  addEventListener("resize", update);
  return make("details", {}, make("summary", {}, "Columns: ", count), buttons, choices);
}

/* ---- Colours ---- */

const COLOURS = { "light dark": "as the system", light: "light", dark: "dark" };

function colourButton() {
  const schemes = Object.keys(COLOURS);
  const chosen = make("button", { type: "button", className: "colours" });
  function show(scheme) {
    document.documentElement.style.colorScheme = scheme;
    chosen.textContent = `Colours: ${COLOURS[scheme]}`;
    chosen.dataset.scheme = scheme;
  }
  chosen.onclick = () => {
    const next = schemes[(schemes.indexOf(chosen.dataset.scheme) + 1) % schemes.length];
    keep("colours", next);
    show(next);
  };
  const before = kept("colours");
  show(schemes.includes(before) ? before : schemes[0]);
  return chosen;
}

const colours = colourButton(); /* before anything is painted */

document.addEventListener("DOMContentLoaded", () => {
  document.querySelector("header").prepend(colours);
  for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
  for (const box of document.querySelectorAll("[data-name]")) {
    const table = box.querySelector("table");
    const tools = make("div", { className: "tools" }, rowFilter(table), columnChoice(box, table));
    tools.classList.toggle("broad", box.classList.contains("broad"));
    box.before(tools);
  }
});
