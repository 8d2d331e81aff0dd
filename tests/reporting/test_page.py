"""The report in a real browser: it plays, switches sounds in place, finds and sorts clips, fetches nothing foreign."""

from __future__ import annotations

import functools
import http.server
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
import soundfile
from browser import FAINT, NAMELESS, Watched, browsing
from hostile_results import ATTACKS
from made_results import made_result
from report_world import World, make_world

import t2av_bench as tb
from t2av_bench.errors import ManifestError
from t2av_bench.manifests import Manifest
from t2av_bench.media.cutting import write_pictures

pytestmark = [pytest.mark.slow, pytest.mark.browser]
DRIFT_S = 0.05
IN_STEP = "(limit) => current.player.drift().every((drift) => Math.abs(drift) < limit)"
SYSTEMS = ("other-noise", "late-0.5s", "noise")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("page-world"), 12, SYSTEMS)


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "a report, 50 % of it & more"
    options: dict[str, Any] = {"manifest": world.manifest, "num_workers": 0, "progress": False}
    return tb.report(world.results, world.pred_dirs, out, **options).parent


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(params=["disk", "server"])
def page(request: pytest.FixtureRequest, chromium: Any, folder: Path) -> Iterator[Watched]:
    """The page from disk and from a server; at the end nothing may have gone wrong or out."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = folder.as_uri() if request.param == "disk" else f"http://127.0.0.1:{server.server_port}"
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
        watched = Watched(context.new_page())
        watched.page.set_default_timeout(8_000)
        watched.page.goto(f"{base}/index.html")
        yield watched
        context.close()
        server.shutdown()
    # What is left while it loads is given up, and that is no complaint; a missing file is one of the console's, too.
    assert [said for said in watched.complaints if not said.removeprefix("blob:").startswith(base)] == []
    assert watched.foreign == []
    assert all(url.removeprefix("blob:").startswith(base) or url == "data:," for url in watched.requests)


def ids(watched: Watched) -> list[str]:
    """Return the shown clips' ids in order, those without a card too."""
    return list(watched.page.evaluate("shown.map((i) => clips[i].id)"))


def playing(watched: Watched) -> dict[str, Any]:
    """Return where the player is, and how far its parts are from what is heard."""
    return dict(
        watched.page.evaluate("""() => ({
          id: current.clip.id, at: current.player.position(), drift: current.player.drift(),
          sound: current.player.chosen(), playing: current.player.playing(),
          video: current.card.querySelector('video')?.currentTime,
        })""")
    )


def wait_until(watched: Watched, condition: str, arg: Any = None) -> None:
    """Ask until a condition holds; Playwright's own way of waiting for one is stopped by the page's policy."""
    for _ in range(200):
        if watched.page.evaluate(condition, arg):
            return
        watched.page.wait_for_timeout(50)
    pytest.fail(f"10 s passed before {condition} {arg or ''}")


def look_at_clips(watched: Watched) -> None:
    """Scroll to the gallery: cards are made when they come near."""
    watched.page.evaluate("document.getElementById('Clips').scrollIntoView({ behavior: 'instant' })")
    watched.page.locator("#Gallery article").first.wait_for()


def start(watched: Watched) -> dict[str, Any]:
    look_at_clips(watched)
    watched.page.locator("#Gallery .play").first.click()
    wait_until(watched, "current.player.position() > 0.3")
    return playing(watched)


def test_a_clip_plays_with_its_pictures_and_stays_in_step(page: Watched):
    first = start(page)
    assert first["playing"]
    page.page.wait_for_timeout(1000)
    second = playing(page)
    assert second["at"] - first["at"] > 0.5
    assert second["video"] - first["video"] > 0.5
    wait_until(page, IN_STEP, DRIFT_S)
    page.page.locator("#Gallery .play").first.click()
    assert not playing(page)["playing"]
    at = playing(page)["at"]
    page.page.wait_for_timeout(200)
    assert playing(page)["at"] == at


def test_changing_the_sound_keeps_the_position(page: Watched):
    start(page)
    for key, sound in (("3", 2), ("1", 0), ("4", 3), ("2", 1)):
        before, after = page.page.evaluate(
            """(key) => {
          const before = current.player.position();
          document.dispatchEvent(new KeyboardEvent('keydown', { key }));
          return [before, current.player.position()];
        }""",
            key,
        )
        assert after == pytest.approx(before, abs=DRIFT_S)
        assert playing(page)["sound"] == sound
        page.page.wait_for_timeout(200)
        wait_until(page, IN_STEP, DRIFT_S)
        pressed = page.page.locator("article[aria-current] .pick[aria-pressed=true]").inner_text()
        assert pressed.replace("♪", "").strip().startswith(key)


def test_only_the_chosen_sound_is_heard(page: Watched):
    """Every sound that plays but one is silent, the pictures are always."""
    page.page.evaluate("""() => {
      window.made = [];
      const create = document.createElement.bind(document);
      document.createElement = (tag) => {
        const node = create(tag);
        if (tag === 'audio') made.push(node);
        return node;
      };
    }""")
    start(page)
    for sound in range(4):
        page.page.locator("article[aria-current] .pick").nth(sound).click()
        silent = page.page.evaluate("made.map((audio) => audio.muted || audio.volume === 0)")
        assert silent == [i != sound for i in range(4)]
    assert page.page.evaluate("[...document.querySelectorAll('video')].every((video) => video.muted)")


def test_the_end_stops_and_repeat_goes_on(page: Watched):
    start(page)
    page.page.evaluate("current.player.seek(3.6)")
    wait_until(page, "!current.player.playing()")
    assert playing(page)["at"] == 0
    page.page.get_by_label("Repeat").check()
    page.page.locator("#Gallery .play").first.click()
    wait_until(page, "current.player.position() > 0.1")
    page.page.evaluate("current.player.seek(3.7)")
    wait_until(page, "current.player.position() < 1.5")
    assert playing(page)["playing"]


def test_a_click_on_a_strip_goes_there_with_that_sound(page: Watched):
    look_at_clips(page)
    strip = page.page.locator("#Gallery article .strip").nth(2)
    box = strip.bounding_box()
    strip.click(position={"x": box["width"] / 2, "y": 20})
    found = playing(page)
    assert found["sound"] == 2
    assert found["at"] == pytest.approx(2.0, abs=0.05)
    wait_until(page, "document.querySelector('#Gallery video').currentTime > 1.9")
    page.page.keyboard.press("Space")
    wait_until(page, "current.player.position() > 2.3")


def test_the_keyboard_alone_plays_switches_and_walks(page: Watched):
    order = ids(page)
    page.page.keyboard.press("Space")
    wait_until(page, "current?.player.position() > 0.2")
    page.page.keyboard.press("3")
    page.page.keyboard.press("ArrowRight")
    wait_until(page, "current.player.position() > 0.2")
    found = playing(page)
    assert (found["id"], found["sound"], found["playing"]) == (order[1], 2, True)
    page.page.keyboard.press("Space")
    page.page.keyboard.press("ArrowRight")
    found = playing(page)
    assert (found["id"], found["playing"]) == (order[2], False)
    page.page.keyboard.press("ArrowLeft")
    assert playing(page)["id"] == order[1]
    page.page.locator("#Find").focus()
    page.page.keyboard.type("3 1")
    assert page.page.evaluate("chosenSound") == 2, "what is typed into a field is no command"


def test_clips_are_sorted_by_what_they_add_or_are(page: Watched, world: World):
    results = [tb.Result.load(path, per_clip=True) for path in world.results]
    added = {clip_id: own["FAVD"] for clip_id, own in results[0].per_clip.items()}
    assert ids(page) == sorted(added, key=lambda clip_id: -added[clip_id])
    page.page.locator("#Of").select_option(label="late-0.5s")
    page.page.locator("#Order").select_option("adds " + str(score_index(page, "AV-index")))
    added = {clip_id: own["AV-index"] for clip_id, own in results[1].per_clip.items()}
    assert ids(page) == sorted(added, key=lambda clip_id: added[clip_id]), "an index is harmed by what draws it down"
    page.page.locator("#Turn").click()
    assert ids(page) == sorted(added, key=lambda clip_id: -added[clip_id])
    assert "best first" in page.page.locator("#Status").inner_text()
    page.page.locator("#Order").select_option("none -1")
    assert ids(page) == [clip.clip_id for clip in world.manifest.clips()]


def score_index(watched: Watched, name: str) -> int:
    return int(watched.page.evaluate("(name) => scores.findIndex((score) => score.name === name)", name))


def test_clips_are_found_by_words_labels_and_ids_and_filtered_by_what_they_do(page: Watched, world: World):
    clips = list(world.manifest.clips())
    page.page.locator("#Find").fill(clips[3].clip_id.upper())
    assert ids(page) == [clips[3].clip_id]
    label = clips[0].labels.split(";")[0]
    page.page.locator("#Find").fill(label)
    assert clips[0].clip_id in ids(page)
    page.page.locator("#Find").fill("no such words")
    assert ids(page) == []
    assert page.page.locator("#Status").inner_text().startswith("0 of 12 clips")
    page.page.locator("#Find").fill("")
    added = tb.Result.load(world.results[0], per_clip=True).per_clip
    page.page.locator("#Which").select_option("harm")
    assert set(ids(page)) == {clip_id for clip_id, own in added.items() if own["FAVD"] > 0}
    page.page.locator("#Which").select_option("help")
    assert set(ids(page)) == {clip_id for clip_id, own in added.items() if own["FAVD"] < 0}


def test_a_link_leads_to_a_clip_whatever_is_filtered(page: Watched):
    last = ids(page)[-1]
    page.page.goto(f"{page.page.url}#clip={last}")
    page.page.reload()
    wait_until(page, "current !== null")
    assert playing(page)["id"] == last
    page.page.wait_for_timeout(300)
    assert page.page.locator("article[aria-current]").is_visible()
    box = page.page.locator("article[aria-current]").bounding_box()
    assert box["y"] < 900
    page.page.locator("#Find").fill("no such words")
    page.page.evaluate("(id) => { location.hash = `clip=${id}`; }", ids_all(page)[0])
    wait_until(page, "(id) => current?.clip.id === id", ids_all(page)[0])
    page.page.evaluate("location.hash = 'clip=nobody'")
    page.page.wait_for_function(
        "document.getElementById('Status').textContent.includes('nobody is not in this report')"
    )


def ids_all(watched: Watched) -> list[str]:
    return list(watched.page.evaluate("clips.map((clip) => clip.id)"))


def test_nothing_is_loaded_of_clips_that_are_far_away(page: Watched):
    look_at_clips(page)
    page.page.wait_for_timeout(500)
    asked = {unquote(url.rsplit("/clips/", 1)[1]).split("/")[0] for url in page.requests if "/clips/" in url}
    assert 1 <= len(asked) <= 8
    assert not [url for url in page.requests if url.endswith(".mp4")], "media wait for being played"
    assert page.page.locator("#Gallery article").count() <= 8
    page.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    page.page.wait_for_timeout(500)
    assert page.page.locator("#Gallery article").count() <= 8


def test_charts_follow_the_score_and_a_label_finds_its_clips(page: Watched, world: World):
    assert page.page.locator("#Added rect").count() > 3
    assert page.page.locator("#ValuesFigure").is_hidden()
    page.page.locator("#Score").select_option(label="onset-acc ↑")
    assert page.page.locator("#ValuesFigure").is_visible()
    assert "onset-acc of a clip (higher is better)" in page.page.locator("#Values svg").text_content()
    assert "Original" in page.page.locator("#Timing svg").text_content()
    link = page.page.locator("#Labels svg a").first
    label = re.sub(r" \(\d+\)$", "", link.locator("text").text_content())
    link.click()
    assert page.page.locator("#Find").input_value() == label
    assert 2 <= len(ids(page)) < 12


def test_the_colours_follow_the_device_or_the_choice(page: Watched):
    def ground() -> str:
        return str(page.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = ground()
    page.page.emulate_media(color_scheme="dark")
    dark = ground()
    assert light != dark
    page.page.locator("#Theme").click()
    assert ground() == light
    page.page.locator("#Theme").click()
    page.page.emulate_media(color_scheme="light")
    page.page.reload()
    assert ground() == dark


def test_every_control_has_a_name_and_every_text_enough_contrast(page: Watched):
    look_at_clips(page)
    page.page.locator("#Gallery summary").first.click()
    for scheme in ("light", "dark"):
        page.page.emulate_media(color_scheme=scheme)
        assert page.page.evaluate(NAMELESS) == []
        assert page.page.evaluate(FAINT) == []


def test_a_phone_shows_everything_without_a_sideways_page(page: Watched):
    page.page.set_viewport_size({"width": 360, "height": 740})
    page.page.wait_for_timeout(400)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 360
    heights = "[...document.querySelectorAll('button, select')].map((b) => b.offsetHeight).filter(Boolean)"
    assert page.page.evaluate(f"Math.min(...{heights})") >= 36
    start(page)
    assert playing(page)["playing"]


def test_screenshots_are_kept_to_be_looked_at(page: Watched, folder: Path):
    """As build artefacts, where `SCREENSHOTS` says; in the repository there are none."""
    target = Path(os.environ.get("SCREENSHOTS", folder.parent / "screenshots"))
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light")):
        page.page.set_viewport_size({"width": width, "height": 900})
        page.page.emulate_media(color_scheme=scheme)
        for part in ("ScoresTitle", "ChartsTitle", "Clips"):
            page.page.evaluate(f"document.getElementById('{part}').scrollIntoView({{ behavior: 'instant' }})")
            page.page.wait_for_timeout(500)
            path = target / f"report-{part}-{width}-{scheme}.png"
            page.page.screenshot(path=path)
            assert path.stat().st_size > 10_000


@pytest.mark.parametrize("media", ["copy", "link"])
def test_a_range_inside_a_longer_video_plays_from_its_start(chromium: Any, world: World, tmp_path: Path, media: Any):
    """The written file begins with a key frame before the clip, the linked one long before it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "preds").mkdir()
    for clip in list(world.manifest.clips())[:2]:
        film = tmp_path / "data" / f"{clip.clip_id}.mp4"
        write_pictures(world.data_dir / clip.media, film, start_s=0.0, duration_s=4.0)
        sound, sr_hz = soundfile.read(world.pred_dirs[0] / f"{clip.clip_id}.wav", start=16_000, stop=48_000)
        soundfile.write(tmp_path / "preds" / f"{clip.clip_id}.wav", sound, sr_hz)
    table = world.manifest.table.iloc[:2].assign(start_s=1.0, duration_s=2.0)
    manifest = Manifest("mine", table.assign(media=table["clip_id"] + ".mp4"), data_dir=tmp_path / "data")
    per_clip = {clip_id: {"FAD": value} for clip_id, value in zip(table["clip_id"], (1.0, -1.0), strict=True)}
    base = made_result("short", {"FAD": 1.0}, per_clip)
    result = replace(base, manifest={**base.manifest, "name": "mine", "sha256": manifest.sha256})
    options: dict[str, Any] = {"manifest": manifest, "media": media, "num_workers": 0, "progress": False}
    path = tb.report(result, tmp_path / "preds", tmp_path / "report", **options)
    watched = Watched(chromium.new_page())
    watched.page.goto(path.as_uri())
    found = start(watched)
    begin_s = watched.page.evaluate("current.clip.videoStart")
    assert begin_s == 1.0 if media == "link" else 0.0 < begin_s <= 1.0
    assert found["video"] - found["at"] == pytest.approx(begin_s, abs=0.1)
    assert found["sound"] == 1
    wait_until(watched, "!current.player.playing()")
    assert "holds no sound" in watched.page.locator("article[aria-current] .strip").first.inner_text()
    assert "The pictures" not in watched.page.locator("article[aria-current]").inner_text()
    assert watched.page.locator("#OfLabel").is_hidden(), "there is but one system to order by"
    assert watched.foreign == []


def hostile_world(world: World, folder: Path) -> tuple[Manifest, tb.Result]:
    """Clips, a manifest and a result whose every text tries to be something else."""
    clips = list(world.manifest.clips())
    texts = [text for text in ATTACKS if allowed(world.manifest, text)]
    rows = [clips[i % len(clips)] for i in range(len(texts))]
    table = world.manifest.table.iloc[[i % len(clips) for i in range(len(texts))]].copy()
    table["clip_id"] = [text[:60] for text in texts]
    table["caption"], table["labels"] = texts, [f"{text};{texts[0]}" for text in texts]
    manifest = Manifest("mine", table, data_dir=None)
    (folder / "preds").mkdir()
    lines = ["clip_id,path"]
    for number, (clip, source) in enumerate(zip(manifest.clips(), rows, strict=True)):
        samples, sr_hz = soundfile.read(world.pred_dirs[0] / f"{source.clip_id}.wav")
        soundfile.write(folder / "preds" / f"{number}.wav", samples, sr_hz)
        quoted = clip.clip_id.replace('"', '""')
        lines.append(f'"{quoted}",{number}.wav')
    (folder / "preds" / "predictions.csv").write_text("\n".join(lines), encoding="utf-8")
    per_clip = {clip.clip_id: {"FAD": float(value)} for clip, value in zip(manifest.clips(), noise(rows), strict=True)}
    attack = "</script><script>alert(1)</script>"
    base = made_result(attack, {"FAD": 1.0}, per_clip)
    record = {**base.manifest, "name": attack, "sha256": manifest.sha256, "licence": attack}
    return manifest, replace(
        base,
        manifest=record,
        notes=ATTACKS,
        absent={attack: attack},
        environment={attack: attack},
        command=attack,
        not_comparable_because=ATTACKS[:6],
        problems=[{"clip_id": attack, "kind": "x", "path": attack, "reason": attack}],
    )


def noise(rows: list[Any]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=len(rows))


def allowed(manifest: Manifest, text: str) -> bool:
    row = manifest.table.iloc[:1].copy()
    row["clip_id"], row["caption"] = text[:60], text
    try:
        Manifest("one", row)
    except ManifestError:
        return False
    return True


def test_hostile_texts_are_shown_as_text_and_ids_name_no_file(chromium: Any, world: World, tmp_path: Path):
    manifest, result = hostile_world(world, tmp_path)
    options: dict[str, Any] = {"manifest": manifest, "data_dir": world.data_dir, "num_workers": 0, "progress": False}
    path = tb.report(result, tmp_path / "preds", tmp_path / "report", clips=None, **options)
    names = {file.name for file in (tmp_path / "report").rglob("*")}
    assert {name for name in names if not re.fullmatch(r"\d{4}|[a-z]+(-\d)?(\.[a-z0-9]+)?", name)} == set()
    watched = Watched(chromium.new_page())
    dialogs: list[str] = []
    watched.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    watched.page.goto(path.as_uri())
    shown = ids(watched)
    assert len(shown) == len(manifest)
    for clip_id in shown:
        watched.page.evaluate("(id) => { location.hash = `clip=${encodeURIComponent(id)}`; }", clip_id)
        wait_until(watched, "(id) => current?.clip.id === id", clip_id)
        watched.page.locator("article[aria-current] summary").click()
        caption = watched.page.locator("article[aria-current] h3").text_content()
        assert caption == watched.page.evaluate("plain(current.clip.caption)")
        assert not re.search(r"[\u202e\u2028\x1b]", caption)
    assert watched.page.locator("article img").evaluate_all(
        "all => all.every((img) => /^clips/.test(img.getAttribute('src')))"
    )
    assert watched.page.locator("script").count() == 2
    assert watched.page.locator("iframe, object, [onclick], [onmouseover], [onload], [onerror]").count() == 0
    hrefs = watched.page.locator("a").evaluate_all("links => links.map((link) => link.getAttribute('href') ?? '')")
    assert all(href.startswith("#") for href in hrefs)
    assert (dialogs, watched.foreign) == ([], [])
    assert [said for said in watched.complaints if not said.startswith("file:")] == []


def test_the_policy_stops_what_is_not_the_reports_own(chromium: Any, folder: Path):
    asked: list[str] = []

    class Listener(QuietHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    watched = Watched(chromium.new_page())
    watched.page.goto((folder / "index.html").as_uri())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        watched.page.evaluate(f"""() => {{
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          document.body.append(script);
          for (const tag of ['img', 'audio', 'video']) {{
            const node = document.createElement(tag);
            node.src = 'http://127.0.0.1:{server.server_port}/leak';
            document.body.append(node);
          }}
        }}""")
        watched.page.wait_for_timeout(500)
        server.shutdown()
    assert watched.page.evaluate("window.ran") is None
    assert asked == []
