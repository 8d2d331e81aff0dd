"use strict";
// What every page of the toolkit is made with: elements, numbers, foreign text, charts, the switch of colours.
// Names and texts come from strangers: they reach a page as text nodes and attribute values only, never as HTML.
const at = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

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
  if (size < 1e-3 || size >= 1e5) return value.toExponential(Math.min(digits, 3) - 1).replaceAll("-", "−");
  const text = size < 10 ** digits ? String(Number(value.toPrecision(digits))) : value.toFixed(0);
  return text.replace("-", "−");
}

// Control characters and those that turn the direction of writing would let a name disturb its neighbours.
const plain = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, "\uFFFD");
const named = (text) => element("bdi", {}, plain(text));

// ---- charts

const shorten = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

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
