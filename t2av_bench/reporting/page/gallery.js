// The gallery: which clips, in which order, and the one that is being listened to. Begun at the end of the file.
// A clip's card is made when it comes near the window and let go when it is far: hundreds of clips stay light.
const NEAR_PX = 900;
const state = { score: data.first, own: false, system: 0, which: "all", reversed: false, words: "" };
const cards = new Map(); // clip to its card, of those that are near
let current = null; // { clip, player }
let chosenSound = systems.length ? 1 : 0; // kept from clip to clip

const places = new Map(clips.map((clip, i) => [clip.id, i]));
const shells = clips.map((clip, i) => {
  const shell = element("li", { "data-place": i });
  shell.style.minHeight = `${150 + 118 * clip.sounds.length}px`;
  return shell;
});

// ---- which clips, in which order

const searched = clips.map((clip) => [clip.id, clip.caption, ...clip.labels].join(" ").toLowerCase());
const numbersOf = (clip) => clip.numbers[state.system]?.[state.score] ?? [null, null];

// How bad a clip is by the chosen number: larger is worse; null if it is not known.
function badness(clip) {
  const value = numbersOf(clip)[state.own ? 1 : 0];
  return value == null ? null : scores[state.score].high ? -value : value;
}

function kept(clip, i) {
  if (!state.words.split(/\s+/).every((word) => searched[i].includes(word))) return false;
  if (state.which === "all") return true;
  if (state.which === "random") return clip.random;
  const added = numbersOf(clip)[0];
  return added != null && added !== 0 && harms(scores[state.score], added) === (state.which === "harm");
}

function ordered() {
  const found = clips.map((clip, i) => i).filter((i) => kept(clips[i], i));
  const turn = state.reversed ? -1 : 1;
  if (state.score < 0) return turn > 0 ? found : found.reverse();
  const bad = new Map(found.map((i) => [i, badness(clips[i])]));
  return found.sort((i, j) => {
    const [a, b] = [bad.get(i), bad.get(j)];
    if (a == null || b == null) return (a == null) - (b == null) || i - j;
    return turn * (b - a) || i - j;
  });
}

let shown = [];

function show() {
  shown = ordered();
  if (current && !shown.includes(places.get(current.clip.id))) drop();
  at("Gallery").replaceChildren(...shown.map((i) => shells[i]));
  for (const i of cards.keys()) if (clips[i] !== current?.clip) letGo(i);
  for (const i of shown) watcher.unobserve(shells[i]), watcher.observe(shells[i]);
  const score = scores[state.score];
  const direction = state.reversed ? "best first" : "worst first";
  const how = !score ? "in the manifest's order" : `by ${state.own ? `their own ${score.name}` : `what they add to ${score.name}`}, ${direction}`;
  at("Status").textContent = `${shown.length} of ${clips.length} clips, ${how}`;
  at("Turn").textContent = score ? (state.reversed ? "▽ Best first" : "▲ Worst first") : state.reversed ? "Last first" : "First first";
  at("Turn").setAttribute("aria-label", `${at("Turn").textContent}; turn the order round`);
}

function findClips(words) {
  at("Find").value = words;
  state.words = words.trim().toLowerCase();
  show();
}

// ---- cards come and go

const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const i = Number(entry.target.dataset.place);
    if (entry.isIntersecting) fill(i);
    else if (cards.has(i) && clips[i] !== current?.clip && !shells[i].contains(document.activeElement)) letGo(i);
  }
}, { rootMargin: `${NEAR_PX}px 0px` });

function fill(i) {
  if (cards.has(i)) return cards.get(i);
  const clip = clips[i];
  const act = {
    toggle: () => { const { player } = take(i); player.playing() ? player.pause() : player.play(); },
    seek: (at) => take(i).player.seek(at),
    choose: (k) => choose(i, k),
  };
  const made = makeCard(clip, act);
  cards.set(i, made);
  if (current?.clip === clip) made.card.setAttribute("aria-current", "true");
  made.update({ position: () => 0, playing: () => false, chosen: () => soundOf(clip) });
  shells[i].replaceChildren(made.card);
  return made;
}

function letGo(i) {
  shells[i].style.minHeight = `${shells[i].offsetHeight || parseFloat(shells[i].style.minHeight)}px`;
  shells[i].replaceChildren();
  cards.delete(i);
}

// ---- the one that is listened to

const soundOf = (clip) => (clip.sounds[chosenSound]?.file ? chosenSound : Math.max(0, clip.sounds.findIndex((sound) => sound.file)));

function take(i) {
  const clip = clips[i];
  if (current?.clip === clip) return current;
  drop();
  const made = fill(i);
  const player = makePlayer(clip, made.video, () => made.update(player));
  current = { clip, player, card: made.card };
  player.choose(soundOf(clip));
  made.card.setAttribute("aria-current", "true");
  history.replaceState(null, "", linkTo(clip));
  return current;
}

function drop() {
  if (!current) return;
  current.player.close();
  current.card.removeAttribute("aria-current");
  current = null;
}

function choose(i, k) {
  const { clip, player } = take(i);
  if (!clip.sounds[k]?.file) return;
  chosenSound = k;
  player.choose(k);
  // What is not playing shows the choice too: it holds for all clips.
  for (const [j, made] of cards) {
    if (clips[j] !== clip) made.update({ position: () => 0, playing: () => false, chosen: () => soundOf(clips[j]) });
  }
}

// Go so many clips on from the current one, playing if that one was.
function step(by) {
  const from = current ? shown.indexOf(places.get(current.clip.id)) : -1;
  const to = current && from < 0 ? 0 : from + by;
  if (to < 0 || to >= shown.length) return;
  const playing = current?.player.playing();
  reach(shown[to]);
  if (playing) current.player.play();
}

function reach(i) {
  const { card } = take(i);
  // Twice: cards above that are made on the way are not as high as was guessed.
  const look = () => shells[i].scrollIntoView({ block: "start", behavior: "instant" });
  look();
  requestAnimationFrame(() => requestAnimationFrame(look));
  card.focus({ preventScroll: true });
}

const firstInView = () => shown.find((i) => shells[i].getBoundingClientRect().top >= 0) ?? shown[0];

function openLinked() {
  const named = /^#clip=(.*)$/.exec(location.hash);
  if (!named) return;
  let id;
  try {
    id = decodeURIComponent(named[1]);
  } catch {
    return;
  }
  const i = places.get(id);
  if (i === undefined) return void (at("Status").textContent = `The clip ${plain(shorten(id, 80))} is not in this report.`);
  if (!shown.includes(i)) {
    state.which = at("Which").value = "all";
    findClips("");
  }
  reach(i);
}

// ---- controls and keys

function makeControls() {
  scores.forEach((score, i) => at("Score").append(element("option", { value: i }, `${score.name} ${arrow(score)}`)));
  at("Score").value = Math.max(0, state.score);
  at("Charts").hidden = !scores.length && !data.timing;
  for (const [own, label] of [[false, "What a clip adds to"], [true, "A clip's own"]]) {
    const held = scores.map((score, i) => i).filter((i) => scores[i][own ? "values" : "added"]);
    if (held.length) at("Order").append(element("optgroup", { label }, ...held.map((i) => element("option", { value: `${own ? "own" : "adds"} ${i}` }, scores[i].name))));
  }
  at("Order").append(element("option", { value: "none -1" }, "the manifest"));
  if (!scores[state.score]?.added) state.score = -1;
  at("Order").value = state.score < 0 ? "none -1" : `adds ${state.score}`;
  systems.forEach((name, i) => at("Of").append(element("option", { value: i }, plain(shorten(name, 40)))));
  at("OfLabel").hidden = systems.length < 2;

  const on = (id, kind, change) => at(id).addEventListener(kind, (event) => (change(event.target.value), show()));
  on("Find", "input", (value) => (state.words = value.trim().toLowerCase()));
  on("Which", "change", (value) => (state.which = value));
  on("Of", "change", (value) => (state.system = Number(value)));
  on("Turn", "click", () => (state.reversed = !state.reversed));
  on("Order", "change", (value) => {
    const [kind, score] = value.split(" ");
    Object.assign(state, { own: kind === "own", score: Number(score), reversed: false });
    drop();
  });
  at("Score").addEventListener("change", drawCharts);
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
  const where = event.target;
  if (where.closest?.("input[type=search], select, .scroller")) return;
  const sliding = where.closest?.("input[type=range]");
  const pressing = where.closest?.("button, summary, a, input[type=checkbox]");
  if (event.key === " ") {
    // A button does what it says, except that the chosen sound's has nothing left to do.
    if (pressing && !pressing.matches(".pick[aria-pressed=true]")) return;
    if (!current && shown.length) reach(firstInView());
    if (current) current.player.playing() ? current.player.pause() : current.player.play();
  } else if (/^[1-9]$/.test(event.key)) {
    if (!current) return;
    choose(places.get(current.clip.id), Number(event.key) - 1);
  } else if (!sliding && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
    step(event.key === "ArrowRight" ? 1 : -1);
  } else return;
  event.preventDefault();
}

makeControls();
show();
drawCharts();
openLinked();
document.addEventListener("keydown", onKey);
window.addEventListener("hashchange", openLinked);
let redraw;
window.addEventListener("resize", () => {
  clearTimeout(redraw);
  redraw = setTimeout(drawCharts, 150);
});
