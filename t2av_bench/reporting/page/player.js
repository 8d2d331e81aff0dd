// Playing a clip: its pictures, and one of its sounds at a time. Every sound runs along, all but one muted, so that
// changing from one to another is immediate and keeps the position; what nobody hears is pulled back into step.
const FAR_S = 0.25, NEAR_S = 0.01, PULL = 0.1, LOOK_MS = 100;

// `seen` is the clip's <video>, or null; `changed` is called whenever position or state may have changed.
function makePlayer(clip, seen, changed) {
  const tracks = clip.sounds.map((sound) => (sound.file ? { media: load(sound.file), start: sound.start } : null));
  const picture = seen && { media: seen, start: clip.videoStart };
  const all = [...tracks, picture].filter(Boolean);
  let chosen = 0, wanted = false, frame = 0, looked = 0, rest = 0;

  function load(file) {
    const audio = document.createElement("audio");
    audio.preload = "none";
    audio.muted = true;
    audio.src = file;
    return audio;
  }

  // What keeps the time: the sound that is heard, else the pictures.
  const leader = () => tracks[chosen] ?? picture ?? all[0];
  const time = (track) => track.media.currentTime - track.start;

  function position() {
    const track = leader();
    if (!track || track.media.readyState === 0) return rest;
    return Math.min(Math.max(time(track), 0), clip.duration);
  }

  function place(track, at) {
    track.media.currentTime = Math.max(0, at + track.start);
  }

  async function play() {
    if (!all.length) return;
    if (position() > clip.duration - 0.05) rest = 0;
    else rest = position();
    wanted = true;
    const from = rest;
    for (const track of all) {
      track.media.preload = "auto";
      place(track, from);
    }
    hear();
    await Promise.allSettled(all.map((track) => track.media.play()));
    if (wanted) follow();
    changed();
  }

  function pause() {
    rest = position();
    wanted = false;
    cancelAnimationFrame(frame);
    for (const track of all) track.media.pause();
    changed();
  }

  function hear() {
    tracks.forEach((track, i) => track && (track.media.muted = i !== chosen));
    if (leader()) leader().media.playbackRate = 1;
  }

  function choose(i) {
    if (i === chosen || i >= tracks.length) return;
    const at = position();
    chosen = i;
    const track = leader();
    if (track && wanted && Math.abs(time(track) - at) > 3 * NEAR_S) place(track, at);
    else if (track && !wanted && track.media.readyState > 0) place(track, at);
    rest = at;
    hear();
    changed();
  }

  function seek(at) {
    rest = Math.min(Math.max(at, 0), clip.duration);
    for (const track of all) {
      if (track.media.readyState > 0 || wanted) place(track, rest);
    }
    // Pictures show where one is even before anything was played.
    if (!wanted && picture && picture.media.readyState === 0) {
      picture.media.preload = "auto";
      picture.media.load();
      picture.media.addEventListener("loadedmetadata", () => place(picture, rest), { once: true });
    }
    changed();
  }

  function follow(now = 0) {
    frame = requestAnimationFrame(follow);
    if (now - looked > LOOK_MS) {
      looked = now;
      keepTogether();
    }
    if (position() >= clip.duration - 0.02 || leader().media.ended) end();
    else changed();
  }

  function keepTogether() {
    const at = position();
    for (const track of all) {
      if (track === leader() || track.media.paused || track.media.seeking) continue;
      const late = at - time(track);
      if (Math.abs(late) > FAR_S) place(track, at);
      else track.media.playbackRate = Math.abs(late) > NEAR_S ? 1 + Math.min(Math.max(2 * late, -PULL), PULL) : 1;
    }
  }

  function end() {
    if (document.getElementById("Repeat").checked) return seek(0), void Promise.allSettled(all.map((track) => track.media.play()));
    pause();
    rest = 0;
    for (const track of all) place(track, 0);
    changed();
  }

  function close() {
    pause();
    for (const track of tracks.filter(Boolean)) {
      track.media.removeAttribute("src");
      track.media.load();
    }
  }

  return { play, pause, choose, seek, position, close, playing: () => wanted, chosen: () => chosen, drift };

  // Of the pictures and of each sound against what is heard, in seconds.
  function drift() {
    return all.map((track) => time(track) - position());
  }
}
