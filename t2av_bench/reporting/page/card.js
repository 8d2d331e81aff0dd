// The card of one clip: caption, screen, a strip per sound, and what the clip adds to every score.
// Ids, captions and names come from strangers: they reach the page as text nodes and attribute values only.
const clips = data.clips;
const soundName = (i) => (i ? systems[i - 1] : "Original");
const linkTo = (clip) => `#clip=${encodeURIComponent(clip.id)}`;
const seconds = (value) => value.toFixed(2);
const rank = (place) => (place === 1 ? "" : place === 2 ? "second " : "third ");

// Returns the card with `update`, which shows what `player` does; `act` holds what its parts ask for.
function makeCard(clip, act) {
  const video = clip.video ? element("video", { preload: "none", playsinline: "", poster: clip.still, "aria-label": `Pictures of ${plain(clip.id)}` }) : null;
  const button = element("button", { type: "button", class: "play" }, "▶ Play");
  const clock = element("span", { class: "clock" }, `0.00 / ${seconds(clip.duration)} s`);
  const slider = element("input", { type: "range", min: 0, max: clip.duration, step: 0.01, value: 0, "aria-label": "Position in seconds" });
  const head = element("div", { class: "head" });
  const rows = clip.sounds.map((sound, i) => makeRow(clip, sound, i, act));
  if (video) {
    video.muted = true;
    video.addEventListener("click", act.toggle);
    video.addEventListener("loadedmetadata", () => video.classList.toggle("small", video.videoWidth < 160));
  }
  button.addEventListener("click", act.toggle);
  slider.addEventListener("input", () => act.seek(Number(slider.value)));
  const screen = element("div", { class: "screen" },
    video ?? element("div", { class: "unseen-video" }, `The pictures cannot be shown: ${plain(clip.unseen)}`),
    element("div", { class: "transport" }, button, clock));
  const over = element("div", { class: "over" }, ...(clip.events ?? []).map((at) => marked("event", at, clip)), head);
  const tracks = element("div", { class: "tracks", role: "group", "aria-label": "Sounds" }, ...rows.map((row) => row.node), over);
  const seek = element("div", { class: "seek" }, slider, makeAxis(clip));
  const card = element("article", { class: "clip", tabindex: -1, "aria-label": `Clip ${plain(clip.id)}` },
    element("h3", {}, named(clip.caption)), makeTold(clip),
    element("div", { class: "stage" }, screen, element("div", {}, tracks, seek)), makeNumbers(clip));

  function update(player) {
    const at = player.position(), playing = player.playing();
    button.textContent = playing ? "❚❚ Pause" : "▶ Play";
    clock.textContent = `${seconds(at)} / ${seconds(clip.duration)} s`;
    if (document.activeElement !== slider || playing) slider.value = at;
    slider.setAttribute("aria-valuetext", `${seconds(at)} of ${seconds(clip.duration)} seconds`);
    head.style.transform = `translateX(${(100 * at) / clip.duration}%)`;
    rows.forEach((row, i) => row.choose(i === player.chosen(), playing));
  }
  return { card, video, update };
}

function marked(kind, at, clip) {
  const mark = element("span", { class: kind });
  mark.style.left = `${(100 * at) / clip.duration}%`;
  return mark;
}

function makeRow(clip, sound, i, act) {
  const state = element("span", { class: "state", "aria-hidden": "true" });
  const pick = element("button", { type: "button", class: "pick", "aria-pressed": "false", title: plain(soundName(i)) },
    state, element("kbd", {}, i + 1), " ", named(soundName(i)), element("small", {}, i ? addsText(clip, i - 1) : ""), element("small", { class: "format" }, formatText(sound)));
  pick.disabled = !sound.file;
  const strip = element("div", { class: "strip" });
  if (sound.picture) strip.append(element("img", { src: sound.picture, alt: stripText(sound, i), loading: "lazy", decoding: "async", width: 480, height: 104 }));
  else strip.append(element("p", {}, `This sound cannot be played: ${plain(sound.problem)}`));
  if (sound.picture && (sound.problem || sound.remark)) {
    strip.append(element("p", { class: "remark" }, `⚠ ${plain([sound.problem, sound.remark].filter(Boolean).join("; "))}`));
  }
  strip.append(...(sound.onsets ?? []).map((at) => marked("onset", at, clip)));
  pick.addEventListener("click", () => act.choose(i));
  strip.addEventListener("click", (event) => {
    const box = strip.getBoundingClientRect();
    if (sound.file) act.choose(i);
    act.seek(((event.clientX - box.left) / box.width) * clip.duration);
  });
  const choose = (chosen, playing) => {
    pick.setAttribute("aria-pressed", String(chosen));
    state.textContent = chosen ? (playing ? "♪" : "●") : "";
  };
  choose(false, false);
  return { node: element("div", { class: "row" }, pick, strip), choose };
}

function stripText(sound, i) {
  const found = sound.onsets?.length ? `onsets at ${sound.onsets.map(seconds).join(", ")} s` : "no onset found";
  return `Waveform and mel spectrogram, ${plain(soundName(i))}; ${found}`;
}

function formatText(sound) {
  if (!sound.rate) return "";
  const channels = { 1: "mono", 2: "stereo" }[sound.channels] ?? `${sound.channels} ch.`;
  const peak = sound.peak > 0 ? `peak ${(20 * Math.log10(sound.peak)).toFixed(0).replace("-", "−")} dB` : "silent";
  return `${number(sound.rate / 1000, 3)} kHz ${channels}, ${sound.peak > 1 ? "clipped" : peak}`;
}

// What a clip adds to the score that the gallery is ordered by, with a sign that needs no colour.
function addsText(clip, system) {
  const [added, value] = clip.numbers[system][state.score] ?? [];
  if (state.score < 0 || (added == null && value == null)) return "";
  const score = scores[state.score];
  if (state.own) return value == null ? `${score.name} undefined` : `${score.name} ${number(value, 3)}`;
  return added == null ? "" : `${harms(score, added) ? "▲ worse" : "▽ better"}: ${score.name} ${signed(added)}`;
}

const harms = (score, added) => (score.high ? added < 0 : added > 0);
const signed = (value) => (value > 0 ? "+" : "") + number(value, 3);

function makeTold(clip) {
  const told = element("p", { class: "told" });
  told.append(...clip.labels.flatMap((label) => [element("span", { class: "tag" }, named(label)), " "]));
  told.append(element("a", { href: linkTo(clip), title: "Permanent link to this clip" }, element("code", {}, named(clip.id))));
  for (const reason of whyTexts(clip)) told.append(" · ", named(reason));
  if (clip.events) told.append(" · ", clip.events.length ? `events at ${clip.events.map(seconds).join(", ")} s` : "no events");
  return told;
}

// Why the clip is here: its place in rankings, the same place of several scores together.
function whyTexts(clip) {
  const grouped = new Map();
  for (const [kind, score, system, place] of clip.why) {
    const key = `${rank(place)}${kind === "harm" ? "largest" : "best"} contribution${systems.length > 1 ? ` of ${plain(systems[system])}` : ""} to`;
    grouped.set(key, [...(grouped.get(key) ?? []), scores[score].name]);
  }
  const texts = [...grouped].map(([key, names]) => `${key} ${names.slice(0, 4).join(", ")}${names.length > 4 ? ` and ${names.length - 4} more` : ""}`);
  const few = texts.length > 3 ? [...texts.slice(0, 3), `${texts.length - 3} more such places`] : texts;
  return clip.random ? [...few, "drawn at random"] : few;
}

function makeAxis(clip) {
  const axis = element("div", { class: "axis", "aria-hidden": "true" });
  for (const mark of ticks(0, clip.duration).filter((mark) => mark <= clip.duration * 1.001)) {
    const text = element("span", {}, `${number(mark, 3)} s`);
    text.style.left = `${(100 * mark) / clip.duration}%`;
    axis.append(text);
  }
  return axis;
}

function makeNumbers(clip) {
  const details = element("details", {}, element("summary", {}, "What this clip adds to each score"));
  // Made when it is first opened: most never are.
  details.addEventListener("toggle", () => details.open && details.children.length === 1 && details.append(numbersTable(clip)));
  return details;
}

function numbersTable(clip) {
  const cell = (score, [added, value]) => {
    const made = element("td", {}, added == null ? "" : `${signed(added)} ${added === 0 ? "" : harms(score, added) ? "▲" : "▽"}`);
    if (value != null) made.append(element("small", {}, `is ${number(value, 3)}`));
    return made;
  };
  const lines = scores.map((score, i) => element("tr", {}, element("th", { scope: "row" }, `${score.name} ${arrow(score)}`),
    ...systems.map((_, k) => cell(score, clip.numbers[k][i]))));
  const heads = systems.map((name) => element("th", { scope: "col" }, named(name)));
  const table = element("table", {}, element("thead", {}, element("tr", {}, element("th", { scope: "col", class: "name" }, "score"), ...heads)), element("tbody", {}, ...lines));
  const box = element("div", { class: "scroller", tabindex: 0, role: "region", "aria-label": "Scores of this clip" }, table);
  return element("div", {}, box, element("p", { class: "legend" }, "▲ makes the score worse, ▽ better; what all clips add sums to 0, and without this one the score would differ by about as much. Behind “is” stands the clip's own value of a score that is a mean over clips."));
}
