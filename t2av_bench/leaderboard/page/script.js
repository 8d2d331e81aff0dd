
"use strict";
// Names and texts come from strangers: they reach the page as text nodes and attribute values only, never as HTML.
const { scores, systems } = JSON.parse(document.getElementById("Data").textContent);
const at = (id) => document.getElementById(id);
const VALUE = 0, ERROR = 1, PLACE = 2, CLIPS = 3, REACH = 1.96, BARS = 30;
const JUDGED = ["corrected", "FD∞", "floor", "vs floor"];
const SVG = "http://www.w3.org/2000/svg";

const state = {
  by: Math.max(0, scores.findIndex((score) => score.name === "FAVD")), // index of a score; -1: by name
  reversed: false,
  words: "",
  kinds: new Set(scores.filter((score) => score.shown).map((score) => score.kind)),
};
if (state.kinds.size === 0 && scores.length) state.kinds.add(scores[0].kind);

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// As t2av_bench.tables.number: significant digits, and no exponent where one can do without.
function number(value, digits = 4) {
  const size = Math.abs(value);
  if (size < 5e-10) return "0";
  if (size < 1e-3 || size >= 1e5) return value.toExponential(Math.min(digits, 3) - 1).replace("-", "−");
  const text = size < 10 ** digits ? String(Number(value.toPrecision(digits))) : value.toFixed(0);
  return text.replace("-", "−");
}

// Control characters and those that turn the direction of writing would let a name disturb its neighbours.
const plain = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, "\uFFFD");
const named = (text) => element("bdi", {}, plain(text));
const arrow = (score) => (score.high ? "↑" : "↓");
const spoken = (score) => (score.high ? "higher is better" : "lower is better");

// ---- the table

const visible = () => scores.map((score, i) => i).filter((i) => state.kinds.has(scores[i].kind));

// Rows and cells are made once per choice of columns; sorting and filtering only move and hide them.
let rows = new Map();

function makeRow(system) {
  const place = element("td", { class: "place" });
  const link = element("a", { href: `#${system.id}`, title: plain(system.name) }, named(system.name));
  const cells = visible().map((i) => {
    const score = system.scores[i];
    if (!score) return element("td", { title: plain(system.absent[scores[i].name] ?? "not computed") }, "—");
    const cell = element("td", {}, number(score[VALUE]));
    if (score[ERROR] != null) cell.append(element("small", {}, `± ${number(score[ERROR], 2)}`));
    if (score[PLACE]) cell.title = `${scores[i].name}: place ${score[PLACE]}`;
    if (score[PLACE] === 1) cell.className = "best";
    return cell;
  });
  return { row: element("tr", {}, place, element("th", { scope: "row" }, link), ...cells), place };
}

function makeHead() {
  const sorter = (i, ...label) => {
    const button = element("button", { type: "button" }, ...label);
    button.addEventListener("click", () => sortBy(i));
    const head = element("th", { scope: "col", "data-by": i }, button);
    if (i < 0) head.className = "name";
    else button.title = spoken(scores[i]);
    return head;
  };
  const columns = visible().map((i) => sorter(i, `${scores[i].name} ${arrow(scores[i])}`, element("span", { class: "unseen" }, `, ${spoken(scores[i])}`)));
  const place = element("th", { scope: "col", class: "place" }, "#", element("span", { class: "unseen" }, " place"));
  at("Table").tHead.replaceChildren(element("tr", {}, place, sorter(-1, "System"), ...columns));
}

function sortBy(i) {
  state.reversed = state.by === i && !state.reversed;
  state.by = i;
  show();
}

// Best first; what has no such score is last in either direction.
function sorted() {
  const turn = (state.reversed ? -1 : 1) * (state.by >= 0 && scores[state.by].high ? -1 : 1);
  const byName = (a, b) => a.name.localeCompare(b.name) || a.id.localeCompare(b.id);
  return [...systems].sort((a, b) => {
    if (state.by < 0) return turn * byName(a, b);
    const [x, y] = [a.scores[state.by], b.scores[state.by]];
    if (!x || !y) return (x ? 0 : 1) - (y ? 0 : 1) || byName(a, b);
    return turn * (x[VALUE] - y[VALUE]) || byName(a, b);
  });
}

const searched = new Map(systems.map((system) => [system, `${system.name} ${system.facts.Description ?? ""}`.toLowerCase()]));
const found = (system) => state.words.split(/\s+/).every((word) => searched.get(system).includes(word));

function show() {
  const ordered = sorted();
  const [ranked, apart] = [[], []];
  let count = 0;
  for (const system of ordered) {
    const { row, place } = rows.get(system);
    row.hidden = !found(system);
    count += row.hidden ? 0 : 1;
    place.textContent = (state.by >= 0 && system.scores[state.by]?.[PLACE]) || "–";
    (system.apart ? apart : ranked).push(row);
  }
  at("Ranked").replaceChildren(...ranked);
  at("Apart").replaceChildren(...(apart.length ? [apartHeading(), ...apart] : []));
  for (const head of at("Table").tHead.rows[0].cells) {
    if (Number(head.dataset.by) !== state.by) head.removeAttribute("aria-sort");
    else head.setAttribute("aria-sort", descending() ? "descending" : "ascending");
  }
  at("Status").textContent = `${count} of ${systems.length} systems, sorted by ${how()}`;
  drawBars(ordered.filter((system) => found(system) && !system.apart));
  drawPlane(ordered.filter(found));
}

const descending = () => state.reversed !== (state.by >= 0 && scores[state.by].high);

function how() {
  if (state.by < 0) return state.reversed ? "name, Z first" : "name";
  return `${scores[state.by].name}, ${state.reversed ? "worst" : "best"} first`;
}

function apartHeading() {
  const text = "Incomplete, so without a place: these systems were not scored on all clips.";
  return element("tr", {}, element("td", { colspan: 2 + visible().length, class: "heading" }, text));
}

function makeTable() {
  if (state.by >= 0 && !state.kinds.has(scores[state.by].kind)) state.by = visible()[0] ?? -1;
  rows = new Map(systems.map((system) => [system, makeRow(system)]));
  makeHead();
  show();
}

function makeControls() {
  const kinds = new Map(scores.map((score) => [score.kind, score.title]));
  for (const [kind, title] of kinds) {
    const box = element("input", { type: "checkbox" });
    box.checked = state.kinds.has(kind);
    box.addEventListener("change", () => {
      state.kinds[box.checked ? "add" : "delete"](kind);
      makeTable();
    });
    at("Kinds").append(element("label", {}, box, title));
  }
  at("Filter").addEventListener("input", (event) => {
    state.words = event.target.value.trim().toLowerCase();
    show();
  });
  scores.forEach((score, i) => at("Score").append(element("option", { value: i }, `${score.name} ${arrow(score)}`)));
  at("Score").addEventListener("change", (event) => {
    const i = Number(event.target.value);
    state.kinds.add(scores[i].kind);
    document.querySelectorAll("#Kinds input").forEach((box, k) => (box.checked = state.kinds.has([...kinds.keys()][k])));
    state.by = i;
    state.reversed = false;
    makeTable();
  });
}

// ---- the charts

const interval = (score) => [score[VALUE] - REACH * (score[ERROR] ?? 0), score[VALUE] + REACH * (score[ERROR] ?? 0)];
const shorten = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);
const described = (system, i) => `${plain(system.name)}: ${scores[i].name} ${number(system.scores[i][VALUE])}` +
  (system.scores[i][ERROR] == null ? "" : ` ± ${number(system.scores[i][ERROR], 2)}`);

// About five round numbers that cover a range.
function ticks(low, high) {
  const raw = (high - low || Math.abs(high) || 1) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const first = Math.floor(low / step), last = Math.max(Math.ceil(high / step), first + 1);
  return Array.from({ length: last - first + 1 }, (_, k) => (first + k) * step);
}

const scale = (marks, from, to) => (value) => from + ((value - marks[0]) / (marks.at(-1) - marks[0])) * (to - from);

// Narrow screens get a narrow drawing, so that its letters stay as large as the page's.
const widthOf = (id) => Math.max(300, Math.min(620, at(id).clientWidth || 620));

function drawBars(ordered) {
  const i = state.by >= 0 ? state.by : Number(at("Score").value);
  at("Score").value = i;
  const held = ordered.filter((system) => system.scores[i]);
  const few = held.slice(0, BARS);
  if (!few.length) return at("Bars").replaceChildren(element("p", {}, "No system has this score."));
  const ends = few.flatMap((system) => interval(system.scores[i]));
  const marks = ticks(Math.min(...ends), Math.max(...ends));
  const [width, left, step] = [widthOf("Bars"), Math.min(190, widthOf("Bars") * 0.36), 30];
  const bottom = few.length * step + 8;
  const x = scale(marks, left, width - 22);
  const chart = drawn("svg", { viewBox: `0 0 ${width} ${bottom + 46}`, role: "group", "aria-label": `${scores[i].name} with 95 % intervals` });
  for (const mark of marks) {
    chart.append(drawn("line", { class: "grid", x1: x(mark), x2: x(mark), y1: 0, y2: bottom }));
    chart.append(drawn("text", { class: "quiet", x: x(mark), y: bottom + 17, "text-anchor": "middle" }, number(mark, 3)));
  }
  few.forEach((system, k) => {
    const y = k * step + 18, [low, high] = interval(system.scores[i]);
    chart.append(drawn("a", { href: `#${system.id}` },
      drawn("title", {}, described(system, i)),
      drawn("text", { x: left - 14, y: y + 4, "text-anchor": "end" }, shorten(plain(system.name), Math.floor((left - 14) / 7.4))),
      drawn("line", { class: "whisker", x1: x(low), x2: x(high), y1: y, y2: y }),
      drawn("line", { class: "whisker", x1: x(low), x2: x(low), y1: y - 5, y2: y + 5 }),
      drawn("line", { class: "whisker", x1: x(high), x2: x(high), y1: y - 5, y2: y + 5 }),
      drawn("circle", { class: "dot", cx: x(system.scores[i][VALUE]), cy: y, r: 5.5 })));
  });
  const axis = `${scores[i].name} (${spoken(scores[i])})`;
  chart.append(drawn("text", { x: (left + width) / 2, y: bottom + 38, "text-anchor": "middle" }, axis));
  const left_out = held.length - few.length;
  at("Bars").replaceChildren(chart, element("p", { class: "legend" }, left_out ? `The first ${few.length}; ${left_out} more are in the table.` : ""));
}

function drawPlane(shown) {
  const [fad, favd] = ["FAD", "FAVD"].map((name) => scores.findIndex((score) => score.name === name));
  const held = fad < 0 || favd < 0 ? [] : shown.filter((system) => system.scores[fad] && system.scores[favd]);
  at("PlaneSection").hidden = fad < 0 || favd < 0;
  if (!held.length) return at("Plane").replaceChildren();
  const xs = ticks(0, Math.max(...held.map((system) => interval(system.scores[fad])[1])));
  const ys = ticks(0, Math.max(...held.map((system) => interval(system.scores[favd])[1])));
  const width = widthOf("Plane"), bottom = Math.min(400, width * 0.8), left = 62;
  const x = scale(xs, left, width - 22), y = scale(ys, bottom, 12);
  const chart = drawn("svg", { viewBox: `0 0 ${width} ${bottom + 46}`, role: "group", "aria-label": "FAVD against FAD, with 95 % intervals" });
  for (const mark of xs) {
    chart.append(drawn("line", { class: "grid", x1: x(mark), x2: x(mark), y1: 12, y2: bottom }));
    chart.append(drawn("text", { class: "quiet", x: x(mark), y: bottom + 17, "text-anchor": "middle" }, number(mark, 3)));
  }
  for (const mark of ys) {
    chart.append(drawn("line", { class: "grid", x1: left, x2: width - 22, y1: y(mark), y2: y(mark) }));
    chart.append(drawn("text", { class: "quiet", x: left - 8, y: y(mark) + 4, "text-anchor": "end" }, number(mark, 3)));
  }
  const end = Math.min(xs.at(-1), ys.at(-1));
  chart.append(drawn("line", { class: "bound", x1: x(0), y1: y(0), x2: x(end), y2: y(end) }));
  const labelled = [];
  for (const system of held) {
    const [sx, sy] = [system.scores[fad], system.scores[favd]];
    const [px, py] = [x(sx[VALUE]), y(sy[VALUE])], [l, r] = interval(sx).map(x), [b, t] = interval(sy).map(y);
    const point = drawn("a", { href: `#${system.id}` }, drawn("title", {}, `${described(system, fad)}; ${described(system, favd)}`));
    if (held.length <= BARS) {
      point.append(drawn("line", { class: "whisker", x1: Math.max(l, left), x2: r, y1: py, y2: py }));
      point.append(drawn("line", { class: "whisker", x1: px, x2: px, y1: Math.min(b, bottom), y2: t }));
    }
    point.append(drawn("circle", { class: "dot", cx: px, cy: py, r: held.length > BARS ? 4 : 5.5 }));
    // A label only where it covers no other: what it leaves out is in the table, and in the point's title.
    const free = labelled.every(([ox, oy]) => Math.abs(oy - py) > 16 || Math.abs(ox - px) > 150);
    if (held.length <= BARS && free) {
      const rightwards = px < width * 0.6;
      point.append(drawn("text", { x: px + (rightwards ? 10 : -10), y: py - 8, "text-anchor": rightwards ? "start" : "end" }, shorten(plain(system.name), 24)));
      labelled.push([px, py]);
    }
    chart.append(point);
  }
  chart.append(drawn("text", { x: (left + width) / 2, y: bottom + 38, "text-anchor": "middle" }, "FAD (lower is better)"));
  chart.append(drawn("text", { x: 0, y: 0, transform: `translate(14 ${bottom / 2}) rotate(-90)`, "text-anchor": "middle" }, "FAVD (lower is better)"));
  at("Plane").replaceChildren(chart);
}

// ---- details of one system, at the link #<id>

const byId = new Map(systems.map((system) => [system.id, system]));

function openLinked() {
  const system = byId.get(decodeURIComponent(location.hash.slice(1)));
  if (!system) return at("Details").close();
  at("DetailsTitle").replaceChildren(named(system.name));
  at("DetailsBody").replaceChildren(...details(system));
  if (!at("Details").open) at("Details").showModal();
  at("Details").scrollTop = 0;
}

function details(system) {
  const parts = [];
  if (system.apart) parts.push(element("p", { class: "warning" }, plain(system.apart)));
  const facts = element("dl", { class: "facts" });
  for (const [name, value] of Object.entries(system.facts)) {
    facts.append(element("dt", {}, name), element("dd", {}, named(value)));
  }
  const held = JUDGED.map((_, k) => CLIPS + 1 + k).filter((k) => system.scores.some((score) => score?.[k] != null));
  const cell = (value, digits) => element("td", {}, value == null ? "" : number(value, digits));
  const lines = scores.flatMap((score, i) => {
    const own = system.scores[i];
    if (!own) return [];
    const head = element("th", { scope: "row" }, `${score.name} ${arrow(score)}`);
    const judged = held.map((k) => cell(own[k]));
    return [element("tr", {}, head, cell(own[VALUE]), cell(own[ERROR], 2), element("td", {}, own[PLACE] ?? "–"), element("td", {}, own[CLIPS]), ...judged)];
  });
  const titles = ["score", "value", "± s.e.", "place", "clips", ...held.map((k) => JUDGED[k - CLIPS - 1])];
  const head = element("thead", {}, element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title))));
  const table = element("table", {}, head, element("tbody", {}, ...lines));
  parts.push(element("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "All scores" }, table));
  const remarks = [...Object.entries(system.absent).map(([name, why]) => `${name} is absent: ${why}`), ...system.notes];
  if (remarks.length) {
    const items = remarks.map((remark) => element("li", {}, named(remark)));
    parts.push(element("h3", {}, "Notes"), element("ul", {}, ...items));
  }
  const link = element("a", { href: `#${system.id}` }, "Permanent link to this system");
  return [...parts, element("h3", {}, "Provenance"), facts, element("p", {}, link)];
}

at("Close").addEventListener("click", () => at("Details").close());
at("Details").addEventListener("click", (event) => event.target === at("Details") && at("Details").close());
at("Details").addEventListener("close", () => {
  if (byId.has(location.hash.slice(1))) history.replaceState(null, "", location.pathname + location.search);
});
window.addEventListener("hashchange", openLinked);

// ---- colours: as the device has them, or chosen

const THEMES = [["light dark", "Auto", "as the device has them"], ["light", "Light", "light"], ["dark", "Dark", "dark"]];

function setTheme(k) {
  const [scheme, label, spokenLabel] = THEMES[k];
  document.documentElement.style.colorScheme = scheme;
  at("Theme").setAttribute("aria-label", `Colours: ${spokenLabel}`);
  at("Theme").dataset.theme = k;
  at("Theme").querySelector("span").textContent = label;
}

// A page from a file may have no storage; the choice is then forgotten on reload.
function stored(value) {
  try {
    if (value !== undefined) localStorage.setItem("t2av-bench-theme", value);
    return Number(localStorage.getItem("t2av-bench-theme") ?? 0);
  } catch {
    return 0;
  }
}

at("Theme").addEventListener("click", () => {
  const next = (Number(at("Theme").dataset.theme) + 1) % THEMES.length;
  setTheme(next);
  stored(String(next));
});

setTheme(THEMES[stored()] ? stored() : 0);
makeControls();
makeTable();
openLinked();
let redraw;
window.addEventListener("resize", () => {
  clearTimeout(redraw);
  redraw = setTimeout(show, 150);
});
