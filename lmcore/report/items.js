"use strict";
/* The items of two sides, side by side. The data stand in the page, or are asked of `lmcore view`.

   All texts come from data. They are only ever set as textContent, and what Python's
   lmcore.shown.for_terminal escapes was escaped before. */
(() => {
const PAGE = 20; /* rows of the table */
const FULL = 16; /* bits at which a token's colour is full */
const CELLS = 40; /* of the values of a side, each of which is a circle at most */
const PAUSE = 150; /* milliseconds without a change after which a rectangle counts as drawn */
const root = document.getElementById("explorer");
const data = JSON.parse(document.getElementById("explorer-data").textContent);
const state = {
  set: 0, a: 0, b: 0, group: -1, different: true, sort: "size", down: true, offset: 0,
};
let within = null; /* the rectangle of values that was drawn: A from and to, B from and to */
let opened = null; /* the number of the item whose texts are shown */
let asked = 0; /* how often rows were asked for; an answer to an older question is dropped */

/* An element with these properties and children; a text becomes a text node. */
function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in made) made[key] = value; else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

const setNow = () => data.sets[state.set];
const signed = (value) => (value > 0 ? "+" : "") + value.toFixed(2).replace("-", "−");
const plain = (value) => value === null ? "–" : value.toFixed(2).replace("-", "−");

function differ(row) {
  const field = setNow().isDecision ? "right" : "value";
  return row.a[field] !== row.b[field];
}

function difference(row) {
  return row.a.value === null || row.b.value === null ? null : row.b.value - row.a.value;
}

/* What rows are sorted by; those without a number come last, either way. */
function keyOf(row) {
  if (state.sort === "a" || state.sort === "b") return row[state.sort].value;
  const change = difference(row);
  return change === null || state.sort !== "size" ? change : Math.abs(change);
}

function compareRows(one, other) {
  const sign = state.down ? -1 : 1;
  const byId = one.id < other.id ? -1 : Number(one.id > other.id);
  if (state.sort === "item") return sign * byId;
  const [first, second] = [keyOf(one), keyOf(other)];
  if ((first === null) !== (second === null)) return first === null ? 1 : -1;
  return first === second ? byId : sign * (first - second);
}

/* The rows that the controls ask for, whatever their values. */
function chosenRows() {
  const found = [];
  setNow().items.forEach((item, number) => {
    const row = { number, id: item.id, group: item.group };
    [row.a, row.b] = [item.sides[state.a], item.sides[state.b]];
    const isOfGroup = state.group < 0 || item.group === setNow().groups[state.group];
    if (isOfGroup && (!state.different || differ(row))) found.push(row);
  });
  return found;
}

const hasBoth = ({ a, b }) => a.value !== null && b.value !== null;

function isWithin(row) {
  if (!within) return true;
  const [aLow, aHigh, bLow, bHigh] = within;
  const { a, b } = row;
  return hasBoth(row) && a.value >= aLow && a.value <= aHigh && b.value >= bLow && b.value <= bHigh;
}

/* Two ways to the data: {total, rows} of the state; the values of all of them as circles, {low,
   high, circles}; and an item with its texts under both sides. */
const inPage = {
  async rows() {
    const found = chosenRows().filter(isWithin).sort(compareRows);
    return { total: found.length, rows: found.slice(state.offset, state.offset + PAGE) };
  },
  async circles() {
    const pairs = chosenRows().filter(hasBoth).map((row) => [row.a.value, row.b.value]);
    if (!pairs.length) return { low: 0, high: 1, circles: [] };
    const values = pairs.flat();
    const low = values.reduce((one, other) => Math.min(one, other));
    const high = values.reduce((one, other) => Math.max(one, other));
    const perUnit = CELLS / Math.max(high - low, 1e-9);
    const cellOf = (value) => Math.min(Math.floor((value - low) * perUnit), CELLS - 1);
    const cells = new Map();
    for (const [a, b] of pairs) {
      const place = `${cellOf(a)},${cellOf(b)}`;
      const sum = cells.get(place) ?? { a: 0, b: 0, n: 0 };
      cells.set(place, { a: sum.a + a, b: sum.b + b, n: sum.n + 1 });
    }
    const circles = [...cells.values()].map(({ a, b, n }) => ({ a: a / n, b: b / n, n }));
    return { low, high, circles };
  },
  async item(number) {
    const item = setNow().items[number];
    return { ...item, sides: [item.sides[state.a], item.sides[state.b]] };
  },
};
async function ask(what, query) {
  const answer = await fetch(what + "?" + new URLSearchParams(query));
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}
const asQuery = () => ({
  ...state, different: Number(state.different), down: Number(state.down), limit: PAGE,
});
const served = {
  rows: () => ask("rows", within ? { ...asQuery(), within: within.join() } : asQuery()),
  circles: () => ask("circles", asQuery()),
  item: (number) => ask("item", { set: state.set, a: state.a, b: state.b, number }),
};
const source = data.isServed ? served : inPage;

/* The controls above the table. */
const status = element("p", { className: "muted", role: "status" });
const table = element("table", {});
const pager = element("p", { className: "pager" });
const values = document.getElementById("explorer-values");
const controls = element("form", { className: "choose" });
controls.addEventListener("submit", (event) => event.preventDefault());

function choice(label, names, value, change) {
  const select = element("select", { "aria-label": label });
  names.forEach((name, number) => select.append(new Option(name, number)));
  select.value = value;
  select.addEventListener("change", () => {
    change(Number(select.value));
    drawControls();
    chosenAnew();
  });
  return element("label", {}, element("span", {}, label), select);
}

function chooseSet(number) {
  state.set = number;
  state.group = -1;
  [state.a, state.b] = [0, Math.min(1, setNow().sides.length - 1)];
}

function drawControls() {
  const set = setNow();
  const sides = set.sides.map((side) => side.name);
  const focused = [...controls.querySelectorAll("select, input")].indexOf(document.activeElement);
  const different = element("input", { type: "checkbox", checked: state.different });
  different.addEventListener("change", () => {
    state.different = different.checked;
    chosenAnew();
  });
  const groups = ["all groups", ...set.groups];
  controls.replaceChildren(
    choice(data.ofSets, data.sets.map((one) => one.label), state.set, chooseSet),
    choice("A", sides, state.a, (number) => { state.a = number; }),
    choice("B", sides, state.b, (number) => { state.b = number; }),
    choice("group", groups, state.group + 1, (number) => { state.group = number - 1; }),
    element("label", { className: "tick" }, different, "only items on which A and B differ"),
  );
  if (focused >= 0) controls.querySelectorAll("select, input")[focused].focus();
}

/* The values: circles, and the rectangle that the reader draws among them. */
let view = null; /* of Vega, once figures.js has drawn it */
let pause; /* until a rectangle counts as drawn */
let wanted = 0; /* how often circles were asked for; an answer to an older question is dropped */

function chosenAnew() {
  [state.offset, opened] = [0, null];
  forgetRectangle();
  drawCircles();
  draw();
}

function forgetRectangle() {
  clearTimeout(pause);
  within = null;
  view?.signal("brush_x", [0, 0]).signal("brush_y", [0, 0]);
}

async function drawCircles() {
  if (!view) return;
  const number = ++wanted;
  try {
    const { low, high, circles } = await source.circles();
    if (number !== wanted) return;
    const ends = [{ at: low, is: low }, { at: high, is: high }];
    await view.data("circles", circles).data("ends", ends).runAsync();
  } catch (error) {
    failed(error);
  }
}

function rectangleDrawn(_, { a, b }) {
  clearTimeout(pause);
  pause = setTimeout(() => {
    const sorted = (ends) => [...ends].sort((one, other) => one - other);
    const hadOne = within !== null;
    within = a && b ? [...sorted(a), ...sorted(b)] : null;
    if (!within && !hadOne) return;
    [state.offset, opened] = [0, null];
    draw();
  }, PAUSE);
}

values.querySelector("figure").addEventListener("drawn", ({ detail }) => {
  view = detail;
  view.addSignalListener("brush", rectangleDrawn);
  drawCircles();
  if (!within) return;
  within = null; /* the figure was drawn anew, in other colours */
  draw();
});

/* The table. */
const ARROWS = { true: " ↓", false: " ↑" };

function head(label, sort, note) {
  const isSorted = state.sort === sort || (sort === "difference" && state.sort === "size");
  const shown = state.sort === "size" && isSorted ? "|B − A|" : label;
  const button = element("button", { type: "button" }, shown + (isSorted ? ARROWS[state.down] : ""));
  button.addEventListener("click", () => {
    /* the difference: its size, then signed downwards, then upwards */
    if (sort === "difference" && !isSorted) [state.sort, state.down] = ["size", true];
    else if (state.sort === "size" && isSorted) state.sort = "difference";
    else if (isSorted && sort === "difference" && !state.down) {
      [state.sort, state.down] = ["size", true];
    } else if (isSorted) state.down = !state.down;
    else [state.sort, state.down] = [sort, sort !== "item"];
    [state.offset, opened] = [0, null];
    draw().then(() => table.querySelector(`button[data-sort="${sort}"]`).focus());
  });
  button.dataset.sort = sort;
  const cell = element("th", { scope: "col" }, button);
  if (note) cell.append(element("small", {}, note));
  if (isSorted) cell.setAttribute("aria-sort", state.down ? "descending" : "ascending");
  return cell;
}

function said(right) {
  if (right === 1) return "right";
  return right === 0 ? "wrong" : Math.round(100 * right) + " % right";
}

function valueCell(side) {
  const set = setNow();
  const notes = [];
  if (set.isDecision && side.right !== null) notes.push(said(side.right));
  if (set.hasRank && side.rank !== null) notes.push("rank " + side.rank.toLocaleString("en"));
  const cell = element("td", {}, plain(side.value));
  if (notes.length) cell.append(" ", element("small", {}, notes.join(", ")));
  return cell;
}

function tableRows(row) {
  const isOpen = row.number === opened;
  const button = element("button", { type: "button", "aria-expanded": isOpen }, row.id);
  button.addEventListener("click", () => {
    opened = isOpen ? null : row.number;
    draw().then(() => {
      const again = [...table.querySelectorAll("th[scope=row] button")];
      again.find((one) => one.textContent === row.id)?.focus();
    });
  });
  const change = difference(row);
  const rows = [element("tr", {},
    element("th", { scope: "row" }, button),
    element("td", {}, row.group),
    valueCell(row.a), valueCell(row.b),
    element("td", {}, change === null ? "–" : signed(change)))];
  if (isOpen) {
    const place = element("td", { colSpan: 5, className: "texts" });
    source.item(row.number).then((item) => place.replaceChildren(...texts(item)), failed);
    rows.push(element("tr", {}, place));
  }
  return rows;
}

function failed(error) {
  status.textContent = "This cannot be shown: " + error.message;
}

async function draw() {
  const set = setNow();
  const number = ++asked;
  let found;
  try {
    found = await source.rows();
  } catch (error) {
    if (number === asked) failed(error);
    return;
  }
  if (number !== asked) return;
  const unit = `${set.measure}, ${set.unit}`;
  table.replaceChildren(
    element("thead", {}, element("tr", {},
      head("item", "item"),
      element("th", { scope: "col" }, "group"),
      head("A", "a", set.sides[state.a].name), head("B", "b", set.sides[state.b].name),
      head("B − A", "difference", unit))),
    element("tbody", {}, ...found.rows.flatMap(tableRows)));
  drawStatus(found.total);
  drawPager(found.total);
}

function drawStatus(total) {
  const set = setNow();
  const lines = [`${total.toLocaleString("en")} items${within ? " in the rectangle" : ""}`];
  if (!total && state.different && !within) lines.push("A and B are alike on all of them");
  if (!data.isServed && set.items.length < set.nItems) {
    lines.push(`of the ${set.items.length.toLocaleString("en")} in this page; the suite has `
      + set.nItems.toLocaleString("en"));
  }
  const masked = [state.a, state.b].map((number) => set.sides[number].isMasked);
  if (masked[0] !== masked[1]) {
    lines.push("one side is a masked LM: its log-probs are no probabilities of texts, and are not "
      + "to be compared with the other's");
  }
  status.textContent = lines.join("; ");
}

function drawPager(total) {
  const step = (label, offset) => {
    const isThere = offset >= 0 && offset < total;
    const button = element("button", { type: "button", disabled: !isThere }, label);
    button.addEventListener("click", () => {
      [state.offset, opened] = [offset, null];
      draw();
    });
    return button;
  };
  pager.hidden = total <= PAGE;
  const last = Math.min(state.offset + PAGE, total);
  pager.replaceChildren(
    step("← earlier", state.offset - PAGE),
    ` ${state.offset + 1} – ${last} of ${total.toLocaleString("en")} `,
    step("later →", state.offset + PAGE));
}

/* The texts of an item under both sides. */
function texts(item) {
  const several = item.options.length > 1;
  const chosen = item.sides.map((side) => side.logprobs.indexOf(Math.max(...side.logprobs)));
  return item.options.map((option, number) => {
    const notes = [];
    if (several) {
      notes.push(`option ${number + 1}`);
      if (option.gold) notes.push(setNow().kind === "graded" ? "the first text" : "the right one");
      chosen.forEach((one, place) => {
        if (one === number) notes.push(`preferred by ${"AB"[place]}`);
      });
    }
    const columns = item.sides.map((side, place) => column(option, side, number, "AB"[place]));
    const block = element("div", { className: "option" });
    if (several) block.append(element("h4", {}, notes.join(" · ")));
    block.append(element("div", { className: "sides" }, ...columns));
    return block;
  });
}

/* One text under one side: its log-prob, the coloured pieces, and a line on the one pointed at. */
function column(option, side, number, name) {
  const text = side.texts[number];
  const cut = option.cuts[text.cut];
  const line = element("p", { className: "said muted", role: "status" });
  const passage = element("div", { className: "heat", tabIndex: 0, role: "group" });
  passage.setAttribute("aria-label", `text under ${name}; arrow keys go from token to token`);
  const pieces = cut.pieces.map((piece, place) => {
    const span = element("span", {}, piece);
    if (place < cut.n_context) span.className = "context";
    if (text.bits[place] === null) span.classList.add("unscored");
    else span.style.setProperty("--s", Math.min(1, text.bits[place] / FULL).toFixed(2));
    return span;
  });
  passage.append(...pieces);
  let current = -1;
  const point = (place) => {
    if (place < 0 || place >= pieces.length) return;
    if (current >= 0) pieces[current].classList.remove("pointed");
    current = place;
    pieces[place].classList.add("pointed");
    line.textContent = saidOf(cut.pieces[place], text, place);
  };
  passage.addEventListener("pointerover", (event) => point(pieces.indexOf(event.target)));
  passage.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    point(current < 0 ? 0 : current + step);
  });
  const logprob = side.logprobs[number];
  const title = logprob === null ? name : `${name}: log-prob ${plain(logprob)} nats`;
  return element("div", { className: "m" + "AB".indexOf(name) },
    element("p", { className: "key" }, element("i", {}), title), passage, line);
}

/* What a side says of a piece: surprisal, rank, entropy, and what it expected instead. */
function saidOf(piece, text, place) {
  const shown = `“${piece.trim() || "␣"}”`;
  if (text.bits[place] === null) return `${shown} was not scored`;
  const numbers = `${shown} ${text.bits[place].toFixed(1)} bits, `
    + `rank ${text.ranks[place].toLocaleString("en")}, `
    + `entropy ${text.entropies[place].toFixed(1)} nats`;
  const tops = text.tops[place];
  if (tops === 0) return `${numbers}; the first choice`;
  const expected = tops.map(([token, share]) => `“${token.trim() || "␣"}” ${share} %`);
  return `${numbers}; expected ${expected.join(", ")}`;
}

document.getElementById("explorer-plain")?.remove();
chooseSet(0);
drawControls();
values.hidden = false;
root.append(controls, values, status, element("div", { className: "card scroll wide" }, table), pager);
draw();
})();
