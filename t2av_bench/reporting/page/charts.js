// The summary's charts, of all scored clips. Names that are not declared here are in common.js and gallery.js.
const data = JSON.parse(at("Data").textContent);
const { systems, scores } = data;
const arrow = (score) => (score.high ? "↑" : "↓");
const spoken = (score) => (score.high ? "higher is better" : "lower is better");
const REACH = 1.96;
// Systems differ in shape, not in colour alone: circle, square, triangle, diamond, each hollow and then filled.
const SHAPES = [
  "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0", "M-4.5,-4.5h9v9h-9z", "M0,-5.5l5.5,9.5h-11z", "M0,-6l6,6l-6,6l-6,-6z",
];
const shape = (system, x, y) => drawn("path", { d: SHAPES[system % 4], class: system < 4 ? "shape filled" : "shape", transform: `translate(${x} ${y})` });

// One row of bars per system over an axis that they share.
function drawHistogram(id, { edges, rows, axis, spokenAxis }) {
  const width = widthOf(id), left = 8, right = width - 8, high = rows.length > 3 ? 46 : 64, step = high + 26;
  const marks = ticks(edges[0], edges.at(-1)).filter((mark) => mark >= edges[0] && mark <= edges.at(-1));
  const x = scale([edges[0], edges.at(-1)], left, right), bottom = rows.length * step;
  const chart = drawn("svg", { viewBox: `0 0 ${width} ${bottom + 44}`, role: "img", "aria-label": `${spokenAxis}: ${rows.map((row) => `${plain(row.name)} ${row.note}`).join("; ")}` });
  for (const mark of marks) {
    chart.append(drawn("line", { class: mark === 0 ? "zero" : "grid", x1: x(mark), x2: x(mark), y1: 16, y2: bottom }));
    chart.append(drawn("text", { class: "quiet", x: x(mark), y: bottom + 17, "text-anchor": "middle" }, number(mark, 3)));
  }
  rows.forEach((row, k) => {
    const base = k * step + step - 4, most = Math.max(1, ...row.counts);
    const space = Math.floor((width - 16) / 7.2) - row.note.length - 2;
    chart.append(drawn("text", { x: left, y: base - high - 6 }, shorten(plain(row.name), Math.max(8, space))));
    chart.append(drawn("text", { class: "quiet", x: right, y: base - high - 6, "text-anchor": "end" }, row.note));
    row.counts.forEach((count, i) => {
      if (!count) return;
      const from = x(edges[i]), to = x(edges[i + 1]), size = Math.max(2, (count / most) * high);
      chart.append(drawn("rect", { class: "bar", x: from + 0.5, y: base - size, width: Math.max(1, to - from - 1), height: size },
        drawn("title", {}, `${number(edges[i], 3)} to ${number(edges[i + 1], 3)}: ${count}`)));
    });
    chart.append(drawn("line", { class: "base", x1: left, x2: right, y1: base, y2: base }));
  });
  chart.append(drawn("text", { x: width / 2, y: bottom + 38, "text-anchor": "middle" }, axis));
  at(id).replaceChildren(chart);
}

const total = (score, system) => {
  const own = score.totals[system];
  return own ? `${number(own[0])}${own[1] == null ? "" : ` ± ${number(own[1], 2)}`}` : "no such score";
};

function beyondText(counts) {
  const [below, above] = counts.beyond.reduce(([b, a], [low, high]) => [b + low, a + high], [0, 0]);
  return below + above ? ` ${below + above} beyond the ends are in the outermost bars.` : "";
}

function drawAdded(score) {
  if (!score.added) return at("Added").replaceChildren(element("p", {}, "Every clip adds the same."));
  const rows = systems.map((name, k) => ({ name, note: total(score, k), counts: score.added.counts[k] }));
  drawHistogram("Added", { edges: score.added.edges, rows, axis: `what a clip adds to ${score.name}`, spokenAxis: `Number of clips by what they add to ${score.name}` });
  const side = score.high ? "Left of 0: clips that draw it down, which is worse." : "Right of 0: clips that draw it up, which is worse.";
  at("Added").append(element("p", { class: "legend" }, `Bars: number of clips. ${side}${beyondText(score.added)}`));
}

function drawValues(score) {
  at("ValuesFigure").hidden = !score.values;
  if (!score.values) return;
  const rows = systems.map((name, k) => ({ name, note: total(score, k), counts: score.values.counts[k] }));
  drawHistogram("Values", { edges: score.values.edges, rows, axis: `${score.name} of a clip (${spoken(score)})`, spokenAxis: `Number of clips by their own ${score.name}` });
  at("Values").append(element("p", { class: "legend" }, `Bars: number of clips.${beyondText(score.values)}`));
}

function drawTiming() {
  at("TimingFigure").hidden = !data.timing;
  if (!data.timing) return;
  const { edges_ms: edges, tolerance_ms: tolerance, rows: found } = data.timing;
  const rows = found.map((row, k) => ({
    name: k ? systems[k - 1] : "Original",
    note: row.events ? `${Math.round((100 * row.hits) / row.events)} % of ${row.events} within ${tolerance} ms` : "not known",
    counts: row.counts,
  }));
  drawHistogram("Timing", { edges, rows, axis: "nearest onset, ms after the event", spokenAxis: "Events by the distance of the nearest onset" });
  const told = (count) => found.map((row, k) => `${plain(rows[k].name)} ${count(row)}`).join(", ");
  const reach = (edges.at(-1) / 1000).toFixed(1);
  at("Timing").append(element("p", { class: "legend" }, `Bars: number of events. Right of 0: the sound is late. Events without an onset within ${reach} s: ${told((row) => row.none)}. Onsets that are no event: ${told((row) => row.onsets - row.hits)}.`));
}

// A row per label, a mark per system with its 95 % interval.
function drawLabels(score) {
  at("LabelsFigure").hidden = !data.labels.length;
  if (!data.labels.length) return;
  const ends = score.labels.flat().filter(([mean]) => mean != null).flatMap(([mean, error]) => [mean - REACH * error, mean + REACH * error]);
  if (!ends.length) return at("Labels").replaceChildren(element("p", {}, "Not known."));
  const marks = ticks(Math.min(0, ...ends), Math.max(0, ...ends));
  const width = widthOf("Labels"), left = Math.min(170, width * 0.36), step = Math.max(22, 13 * systems.length + 8), bottom = data.labels.length * step + 6;
  const x = scale(marks, left, width - 14);
  const chart = drawn("svg", { viewBox: `0 0 ${width} ${bottom + 44}`, role: "group", "aria-label": `${score.name} by label, with 95 % intervals` });
  for (const mark of marks) {
    chart.append(drawn("line", { class: Math.abs(mark) < 1e-12 ? "zero" : "grid", x1: x(mark), x2: x(mark), y1: 0, y2: bottom }));
    chart.append(drawn("text", { class: "quiet", x: x(mark), y: bottom + 17, "text-anchor": "middle" }, number(mark, 3)));
  }
  data.labels.forEach(([label, clips_n], k) => {
    const told = systems.map((name, i) => [name, score.labels[i][k]]).filter(([, own]) => own[0] != null);
    const title = `${plain(label)}, ${clips_n} clips: ${told.map(([name, [mean, error]]) => `${plain(name)} ${number(mean, 3)} ± ${number(error, 2)}`).join("; ")}`;
    const link = drawn("a", { href: "#Clips" }, drawn("title", {}, title),
      drawn("text", { x: left - 12, y: k * step + step / 2 + 5, "text-anchor": "end" }, shorten(`${plain(label)} (${clips_n})`, Math.floor((left - 12) / 7))));
    link.addEventListener("click", () => findClips(label));
    score.labels.forEach((own, i) => {
      const [mean, error] = own[k], y = k * step + step / 2 + (i - (systems.length - 1) / 2) * 13;
      if (mean == null) return;
      link.append(drawn("line", { class: "whisker", x1: x(mean - REACH * error), x2: x(mean + REACH * error), y1: y, y2: y }), shape(i, x(mean), y));
    });
    chart.append(link);
  });
  chart.append(drawn("text", { x: (left + width) / 2, y: bottom + 38, "text-anchor": "middle" }, `${score.name} on these clips, less that on all`));
  const legend = element("p", { class: "legend" });
  if (systems.length > 1) systems.forEach((name, i) => legend.append(drawn("svg", { viewBox: "-8 -8 16 16", class: "key", "aria-hidden": "true" }, shape(i, 0, 0)), named(shorten(name, 40)), " "));
  if (systems.length > 1) legend.append(element("br"));
  legend.append(`To first order: which way, and how far, the score would move if all clips were like these (${spoken(score)}).`);
  at("Labels").replaceChildren(chart, legend);
}

function drawCharts() {
  const score = scores[Number(at("Score").value)];
  if (score) for (const draw of [drawAdded, drawLabels, drawValues]) draw(score);
  drawTiming();
}
