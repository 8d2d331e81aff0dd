"use strict";
// What every page of the toolkit is made with: elements, numbers, foreign text, the switch of colours.
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
  if (size < 1e-3 || size >= 1e5) return value.toExponential(Math.min(digits, 3) - 1).replace("-", "−");
  const text = size < 10 ** digits ? String(Number(value.toPrecision(digits))) : value.toFixed(0);
  return text.replace("-", "−");
}

// Control characters and those that turn the direction of writing would let a name disturb its neighbours.
const plain = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, "\uFFFD");
const named = (text) => element("bdi", {}, plain(text));

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
