// The table, the details of a system, both begun at the end of the file; the charts are in charts.js.
// Names and texts come from strangers: they reach the page as text nodes and attribute values only, never as HTML.
const { scores, systems } = JSON.parse(document.getElementById("Data").textContent);
const VALUE = 0, ERROR = 1, PLACE = 2, CLIPS = 3, REACH = 1.96, BARS = 30, ROWS = 100;
const JUDGED = ["corrected", "FD∞", "floor", "vs floor"];

const state = {
  by: Math.max(0, scores.findIndex((score) => score.name === "FAVD")), // index of a score; -1: by name
  reversed: false,
  words: "",
  limit: ROWS, // of rows in the table: a thousand take a browser a second to lay out
  kinds: new Set(scores.filter((score) => score.shown).map((score) => score.kind)),
};
if (state.kinds.size === 0 && scores.length) state.kinds.add(scores[0].kind);

const arrow = (score) => (score.high ? "↑" : "↓");
const spoken = (score) => (score.high ? "higher is better" : "lower is better");

// ---- the table

const visible = () => scores.map((score, i) => i).filter((i) => state.kinds.has(scores[i].kind));

// Rows are made when they are first seen, and kept until other columns are chosen.
let rows = new Map();

function rowOf(system) {
  if (!rows.has(system)) rows.set(system, makeRow(system));
  const { row, place } = rows.get(system);
  place.textContent = (state.by >= 0 && system.scores[state.by]?.[PLACE]) || "–";
  return row;
}

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
  state.limit = ROWS;
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
  const ordered = sorted().filter(found);
  const ranked = ordered.filter((system) => !system.apart), apart = ordered.filter((system) => system.apart);
  const seen = ranked.slice(0, state.limit), seenApart = apart.slice(0, state.limit - seen.length);
  at("Ranked").replaceChildren(...seen.map(rowOf));
  at("Apart").replaceChildren(...(seenApart.length ? [apartHeading(), ...seenApart.map(rowOf)] : []));
  at("More").hidden = ordered.length <= state.limit;
  at("More").textContent = `Show all ${ordered.length} systems`;
  for (const head of at("Table").tHead.rows[0].cells) {
    if (Number(head.dataset.by) !== state.by) head.removeAttribute("aria-sort");
    else head.setAttribute("aria-sort", descending() ? "descending" : "ascending");
  }
  const first = ordered.length > state.limit ? `; the first ${state.limit} are shown` : "";
  at("Status").textContent = `${ordered.length} of ${systems.length} systems, sorted by ${how()}${first}`;
  drawBars(ranked);
}

const descending = () => state.reversed !== (state.by >= 0 && scores[state.by].high);

function how() {
  if (state.by < 0) return state.reversed ? "name, Z first" : "name";
  return `${scores[state.by].name}, ${state.reversed ? "worst" : "best"} first`;
}

function apartHeading() {
  const text = "Incomplete, so without a place: these systems were not scored on all clips.";
  return element("tr", {}, element("td", { colspan: 2 + visible().length, class: "heading" }, element("span", {}, text)));
}

function makeTable() {
  if (state.by >= 0 && !state.kinds.has(scores[state.by].kind)) state.by = visible()[0] ?? -1;
  rows = new Map();
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
    state.limit = ROWS;
    show();
    drawPlane();
  });
  at("More").addEventListener("click", () => {
    state.limit = Infinity;
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

makeControls();
makeTable();
drawPlane();
openLinked();
let redraw;
window.addEventListener("resize", () => {
  clearTimeout(redraw);
  redraw = setTimeout(() => (show(), drawPlane()), 150);
});
