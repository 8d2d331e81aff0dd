"""The page in a real browser: it does what it shows, fetches nothing and complains of nothing."""

from __future__ import annotations

import functools
import http.server
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from browser import FAINT, NAMELESS, Watched, browsing
from hostile_results import ATTACKS, with_everywhere
from made_boards import board_of, submission

from t2av_bench.leaderboard import Leaderboard
from t2av_bench.leaderboard.rendering import render_page

pytestmark = [pytest.mark.slow, pytest.mark.browser]
SORT_MS = 100.0
PAGE_BYTES = 2_000_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    board = board_of(12).add(
        [submission("Half of it", 50, scored=20), submission("Ångström — the long-named one of many words", 51)],
        list_not_comparable=True,
    )
    (folder / "board.html").write_text(render_page(board), encoding="utf-8")
    return folder


@pytest.fixture(params=["disk", "server"])
def page(request: pytest.FixtureRequest, chromium: Any, folder: Path) -> Iterator[Watched]:
    """The page from disk and from a server; at the end nothing may have gone wrong or out."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = folder.as_uri() if request.param == "disk" else f"http://127.0.0.1:{server.server_port}"
        context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
        watched = Watched(context.new_page())
        watched.page.goto(f"{base}/board.html")
        yield watched
        context.close()
        server.shutdown()
    assert watched.complaints == []
    assert watched.foreign == []
    assert {url.split("#")[0].rsplit("/", 1)[1] for url in watched.requests} == {"board.html"}


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def column(watched: Watched, name: str) -> list[float]:
    """Return the shown numbers of a column, of systems that have a place."""
    titles = watched.page.locator("#Table thead th").all_text_contents()
    index = next(i for i, title in enumerate(titles) if title.startswith(f"{name} "))
    cells = watched.page.locator(f"#Ranked tr > :nth-child({index + 1})").all_text_contents()
    return [float(cell.split("±")[0].replace("−", "-")) for cell in cells]


def head(watched: Watched, name: str) -> Any:
    return watched.page.locator("#Table thead th", has=watched.page.get_by_role("button", name=re.compile(f"^{name} ")))


def test_a_click_sorts_best_first_and_another_turns_round(page: Watched):
    assert column(page, "FAVD") == sorted(column(page, "FAVD"))
    assert head(page, "FAVD").get_attribute("aria-sort") == "ascending"
    head(page, "AV-index").get_by_role("button").click()
    assert column(page, "AV-index") == sorted(column(page, "AV-index"), reverse=True)
    assert head(page, "AV-index").get_attribute("aria-sort") == "descending"
    assert head(page, "FAVD").get_attribute("aria-sort") is None
    assert "sorted by AV-index, best first" in page.page.locator("#Status").inner_text()
    head(page, "AV-index").get_by_role("button").click()
    assert column(page, "AV-index") == sorted(column(page, "AV-index"))
    assert head(page, "AV-index").get_attribute("aria-sort") == "ascending"
    assert page.page.locator("#Apart tr").count() == 2


def test_places_are_those_of_the_sorted_score(page: Watched):
    shown = page.page.locator("#Ranked td.place").all_text_contents()
    board = board_of(12).add([submission("Ångström — the long-named one of many words", 51)], list_not_comparable=True)
    assert [int(place) for place in shown] == [place for _, place in board.ranked("FAVD")]
    assert page.page.locator("#Apart td.place").all_text_contents() == ["–"]


def test_the_keyboard_alone_sorts_filters_and_opens(page: Watched):
    head(page, "FAD").get_by_role("button").focus()
    page.page.keyboard.press("Enter")
    assert column(page, "FAD") == sorted(column(page, "FAD"))
    page.page.locator("#Filter").focus()
    page.page.keyboard.type("0007")
    assert page.page.locator("#Ranked tr").count() == 1
    page.page.locator("#Ranked a").focus()
    page.page.keyboard.press("Enter")
    page.page.locator("#Details").wait_for(state="visible")  # opened by the browser's own event, after the key
    page.page.keyboard.press("Escape")
    page.page.locator("#Details").wait_for(state="hidden")
    page.page.wait_for_url(lambda url: not urlsplit(url).fragment)  # the browser's own time


def test_a_filter_narrows_table_and_charts_and_says_so(page: Watched):
    page.page.locator("#Filter").fill("SYSTEM 000")
    assert page.page.locator("#Ranked tr").count() == 10
    assert page.page.locator("#Bars svg a").count() == 10
    assert page.page.locator("#Plane svg a").count() == 10
    assert page.page.locator("#Status").inner_text().startswith("10 of 14 systems")
    page.page.locator("#Filter").fill("no such")
    assert page.page.locator("#Bars").inner_text() == "No system has this score."


def test_columns_are_chosen_by_kind(page: Watched):
    assert head(page, "FAD-b").count() == 0
    page.page.get_by_label("Balanced Fréchet distances").check()
    assert head(page, "FAD-b").count() == 1
    page.page.get_by_label("Fréchet distances", exact=True).uncheck()
    assert head(page, "FAD").count() == 0
    assert "sorted by FAD-b" in page.page.locator("#Status").inner_text()


def test_a_link_names_a_system_and_opens_its_details(page: Watched):
    address = page.page.url + "#system-0004"
    page.page.goto(address)
    page.page.reload()
    details = page.page.locator("#Details")
    assert details.get_by_role("heading", level=2).inner_text() == "System 0004"
    assert "t2av-bench evaluate" in details.inner_text()
    assert "40 of 40" in details.inner_text()
    assert details.locator("tbody tr").count() == 10
    page.page.evaluate("location.hash = 'half-of-it'")
    page.page.wait_for_function("document.getElementById('DetailsTitle').textContent === 'Half of it'")
    assert "incomplete: 20 of 40 clips were left out" in details.inner_text()
    page.page.evaluate("location.hash = 'no-such-system'")
    page.page.wait_for_function("!document.getElementById('Details').open")


def test_the_colours_follow_the_device_or_the_choice(page: Watched):
    def ground() -> str:
        return str(page.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = ground()
    page.page.emulate_media(color_scheme="dark")
    dark = ground()
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(21, 24, 29)")
    button = page.page.locator("#Theme")
    button.click()
    assert (ground(), button.get_attribute("aria-label")) == (light, "Colours: light")
    button.click()
    page.page.emulate_media(color_scheme="light")
    assert (ground(), button.get_attribute("aria-label")) == (dark, "Colours: dark")
    page.page.reload()
    assert ground() == dark


def test_error_bars_reach_as_far_as_95_percent(page: Watched):
    """The whisker's ends against the axis: pixel positions of the ticks give the scale."""
    drawn = page.page.evaluate("""() => {
      const marks = [...document.querySelectorAll('#Bars svg > text.quiet')];
      const ticks = marks.map((mark) => [Number(mark.textContent), Number(mark.getAttribute('x'))]);
      const whisker = document.querySelector('#Bars svg a .whisker');
      return { ticks, ends: ['x1', 'x2'].map((name) => Number(whisker.getAttribute(name))) };
    }""")
    (v0, x0), *_, (v1, x1) = drawn["ticks"]
    low, high = (v0 + (end - x0) * (v1 - v0) / (x1 - x0) for end in drawn["ends"])
    first = board_of(12).ranked("FAVD")[0][0].result.scores["FAVD"]
    assert high - low == pytest.approx(2 * 1.96 * first.stderr, rel=1e-3)
    assert (high + low) / 2 == pytest.approx(first.value, rel=1e-3)


def test_a_phone_shows_everything_without_a_sideways_page(page: Watched):
    page.page.set_viewport_size({"width": 360, "height": 740})
    page.page.wait_for_timeout(300)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 360
    heights = "[...document.querySelectorAll('button, select')].map((b) => b.offsetHeight).filter(Boolean)"
    assert page.page.evaluate(f"Math.min(...{heights})") >= 36


def test_every_control_has_a_name_and_every_text_enough_contrast(page: Watched):
    for scheme in ("light", "dark"):
        page.page.emulate_media(color_scheme=scheme)
        assert page.page.evaluate(NAMELESS) == []
        assert page.page.evaluate(FAINT) == []


def test_screenshots_are_kept_to_be_looked_at(page: Watched, folder: Path):
    """As build artefacts, where `SCREENSHOTS` says; in the repository there are none."""
    target = Path(os.environ.get("SCREENSHOTS", folder / "screenshots"))
    for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light")):
        page.page.set_viewport_size({"width": width, "height": 900})
        page.page.emulate_media(color_scheme=scheme)
        page.page.wait_for_timeout(300)
        path = target / f"leaderboard-{width}-{scheme}.png"
        page.page.screenshot(path=path, full_page=True)
        assert path.stat().st_size > 20_000


def test_hostile_submissions_are_shown_as_text(chromium: Any, tmp_path: Path):
    made = [submission(f"plain {i}", 100 + i) for i in range(3)]
    board = Leaderboard("x").add(made, list_not_comparable=True)
    for i, attack in enumerate(ATTACKS):
        result = with_everywhere(attack)
        same = {key: getattr(made[0], key) for key in ("manifest", "protocol")}
        result = type(result)(**{**vars(result), **same, "scores": submission(seed=i).scores, "per_clip": {}})
        board = board.add(result, list_not_comparable=True)
    (tmp_path / "hostile.html").write_text(render_page(board), encoding="utf-8")
    watched = Watched(chromium.new_page())
    dialogs: list[str] = []
    watched.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    watched.page.goto((tmp_path / "hostile.html").as_uri())
    names = watched.page.locator("#Ranked th a").all_text_contents()
    assert "<script>alert(1)</script>" in names
    assert "�gnp.exe" in names
    assert len(names) == len(board.entries)
    for entry in board.entries:
        watched.page.evaluate(f"location.hash = '{entry.id}'")
        watched.page.wait_for_timeout(5)
    assert watched.page.locator("script").count() == 2
    assert watched.page.locator("img, iframe, object, [onclick], [onmouseover], [onload]").count() == 0
    hrefs = watched.page.locator("a").evaluate_all("links => links.map((link) => link.getAttribute('href') ?? '')")
    assert all(href.startswith("#") for href in hrefs)
    assert (dialogs, watched.complaints, watched.foreign) == ([], [], [])


def test_the_policy_stops_what_is_not_ours(chromium: Any, folder: Path):
    """If text ever became markup, its script would still not run and nothing would be sent."""
    asked: list[str] = []

    class Listener(QuietHandler):
        def do_GET(self) -> None:
            asked.append(self.path)

    watched = Watched(chromium.new_page())
    watched.page.goto((folder / "board.html").as_uri())
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        watched.page.evaluate(f"""() => {{
          const script = document.createElement('script');
          script.textContent = 'window.ran = true';
          document.body.append(script);
          const image = document.createElement('img');
          image.src = 'http://127.0.0.1:{server.server_port}/leak';
          document.body.append(image);
        }}""")
        watched.page.wait_for_timeout(500)
        server.shutdown()
    assert watched.page.evaluate("window.ran") is None
    assert asked == []
    assert len([said for said in watched.complaints if "Content Security Policy" in said]) == 2


def test_a_thousand_systems_are_small_enough_and_sort_at_once(chromium: Any, tmp_path: Path):
    path = tmp_path / "thousand.html"
    path.write_text(render_page(board_of(1000)), encoding="utf-8")
    assert path.stat().st_size <= PAGE_BYTES
    watched = Watched(chromium.new_page())
    watched.page.goto(path.as_uri())
    times_ms = watched.page.evaluate(SORT_TIMES)
    # The machine may be busy: the best of several clicks is what the page needs.
    assert min(times_ms) <= SORT_MS, times_ms
    assert watched.page.locator("#Ranked tr").count() == 100
    watched.page.locator("#More").click()
    assert watched.page.locator("#Ranked tr").count() == 1000
    assert watched.complaints == []


SORT_TIMES = """() => [0, 1, 2, 3, 4, 5].map((k) => {
  const button = document.querySelectorAll('#Table thead button')[1 + (k % 4)];
  const start = performance.now();
  button.click();
  document.getElementById('Table').getBoundingClientRect();
  return performance.now() - start;
})"""
