// The charts. Names that are not declared here are in script.js, which follows in the same element.

const interval = (score) => [score[VALUE] - REACH * (score[ERROR] ?? 0), score[VALUE] + REACH * (score[ERROR] ?? 0)];
const described = (system, i) => `${plain(system.name)}: ${scores[i].name} ${number(system.scores[i][VALUE])}` +
  (system.scores[i][ERROR] == null ? "" : ` ± ${number(system.scores[i][ERROR], 2)}`);

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

function drawPlane() {
  const [fad, favd] = ["FAD", "FAVD"].map((name) => scores.findIndex((score) => score.name === name));
  const held = fad < 0 || favd < 0 ? [] : systems.filter((system) => found(system) && system.scores[fad] && system.scores[favd]);
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
  const taken = held.map((system) => [x(system.scores[fad][VALUE]), y(system.scores[favd][VALUE]), system]);
  for (const system of held) {
    const [sx, sy] = [system.scores[fad], system.scores[favd]];
    const [px, py] = [x(sx[VALUE]), y(sy[VALUE])], [l, r] = interval(sx).map(x), [b, t] = interval(sy).map(y);
    const point = drawn("a", { href: `#${system.id}` }, drawn("title", {}, `${described(system, fad)}; ${described(system, favd)}${system.apart ? " (incomplete)" : ""}`));
    if (held.length <= BARS) {
      point.append(drawn("line", { class: "whisker", x1: Math.max(l, left), x2: r, y1: py, y2: py }));
      point.append(drawn("line", { class: "whisker", x1: px, x2: px, y1: Math.min(b, bottom), y2: t }));
    }
    point.append(drawn("circle", { class: system.apart ? "dot hollow" : "dot", cx: px, cy: py, r: held.length > BARS ? 4 : 5.5 }));
    if (held.length <= BARS) labelPoint(point, system, px, py, [left, width], taken);
    chart.append(point);
  }
  chart.append(drawn("text", { x: (left + width) / 2, y: bottom + 38, "text-anchor": "middle" }, "FAD (lower is better)"));
  chart.append(drawn("text", { x: 0, y: 0, transform: `translate(14 ${bottom / 2}) rotate(-90)`, "text-anchor": "middle" }, "FAVD (lower is better)"));
  at("Plane").replaceChildren(chart);
}

// A label only where it covers no point and no label: the point's title and the table have every name.
function labelPoint(point, system, px, py, [left, right], taken) {
  const label = shorten(plain(system.name), 24), reach = label.length * 7 + 14;
  for (const [side, dy] of [[1, -8], [-1, -8], [1, 16], [-1, 16]]) {
    const [from, to] = side > 0 ? [px, px + reach] : [px - reach, px];
    const middle = py + dy - 4;
    const free = ([x, y, owner]) => owner === system || x < from || x > to || Math.abs(y - middle) > 13;
    if (from < left || to > right || !taken.every(free)) continue;
    point.append(drawn("text", { x: px + 10 * side, y: py + dy, "text-anchor": side > 0 ? "start" : "end" }, label));
    for (let x = from; x <= to; x += 10) taken.push([x, middle]);
    return;
  }
}
