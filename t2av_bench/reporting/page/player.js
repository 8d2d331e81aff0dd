// Playing a clip: its pictures, and one of its sounds at a time. Every sound runs along, all but one silent, so that
// changing from one to another is immediate and keeps the position; what nobody hears is pulled back into step.
const FAR_S = 0.2, HEARD_S = 0.04, NEAR_S = 0.01, PULL = 0.25, LOOK_MS = 100, PATIENCE_MS = 1500;

// Volume and not `muted`, where it can be set (not on phones of one make): taking up a muted sound takes a moment.
function silence(media, silent) {
  media.volume = silent ? 0 : 1;
  media.muted = silent && media.volume > 0;
}

// A server that cannot give a part of a file cannot be asked for a later moment either: then files are fetched whole.
// From disk nothing can be fetched, and nothing has to be.
let parts = null;
const givesParts = (file) => (parts ??= /^http/.test(location.protocol)
  ? fetch(file, { headers: { Range: "bytes=0-0" } }).then((answer) => answer.status === 206, () => true)
  : Promise.resolve(true));

async function addressOf(file) {
  if (await givesParts(file)) return file;
  return URL.createObjectURL(await (await fetch(file)).blob());
}

// `seen` is the clip's <video>, or null; `changed` is called whenever position or state may have changed.
function makePlayer(clip, seen, changed) {
  const tracks = clip.sounds.map((sound) => (sound.file ? { media: silent(), file: sound.file, start: sound.start } : null));
  const picture = seen && { media: seen, file: clip.video, start: clip.videoStart };
  const all = [...tracks, picture].filter(Boolean);
  let chosen = 0, wanted = false, closed = false, frame = 0, looked = 0, rest = 0;

  function silent() {
    const audio = document.createElement("audio");
    audio.preload = "none";
    silence(audio, true);
    return audio;
  }

  // Resolves when a track can be played, or cannot be told to; a track is loaded once.
  function load(track) {
    const { media } = track;
    media.preload = "auto";
    return (track.loading ??= addressOf(track.file).then((address) => new Promise((done) => {
      if (closed) return done();
      for (const kind of ["canplay", "error"]) media.addEventListener(kind, done, { once: true });
      setTimeout(done, PATIENCE_MS);
      media.src = address;
      media.load();
    }), () => {}));
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
    hear();
    changed();
    await Promise.all(all.map(load));
    if (!wanted) return;
    for (const track of all) place(track, rest);
    cancelAnimationFrame(frame);
    follow();
    await Promise.allSettled(all.map((track) => track.media.play()));
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
    tracks.forEach((track, i) => track && silence(track.media, i !== chosen));
    if (leader()) leader().media.playbackRate = 1;
  }

  function choose(i) {
    if (i === chosen || i >= tracks.length) return;
    const at = position();
    chosen = i;
    const track = leader();
    if (track && wanted && Math.abs(time(track) - at) > HEARD_S) place(track, at);
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
    if (picture && !picture.loading) load(picture).then(() => place(picture, rest));
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
      const { media } = track;
      if (media.seeking || media.ended || media.readyState === 0) continue;
      if (media.paused) media.play().catch(() => {}); // one that had come to its end before a step back
      if (track === leader()) continue;
      const late = at - time(track);
      if (Math.abs(late) > FAR_S) place(track, at);
      else media.playbackRate = Math.abs(late) > NEAR_S ? 1 + Math.min(Math.max(2 * late, -PULL), PULL) : 1;
    }
  }

  function end() {
    if (document.getElementById("Repeat").checked) return seek(0);
    pause();
    rest = 0;
    for (const track of all) place(track, 0);
    changed();
  }

  function close() {
    pause();
    closed = true;
    for (const { media } of all) {
      URL.revokeObjectURL(media.src);
      media.removeAttribute("src");
      media.load();
    }
  }

  return { play, pause, choose, seek, position, close, playing: () => wanted, chosen: () => chosen, drift };

  // Of the pictures and of each sound against what is heard, in seconds.
  function drift() {
    return all.map((track) => time(track) - position());
  }
}
