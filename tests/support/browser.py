"""A real browser for pages that are made here: Chromium as the distribution ships it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_browser() -> str:
    """Return the browser's path; without one, skip, except in CI, which installs it."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = f"needs {' or '.join(NAMES)} on PATH (Debian: apt-get install chromium)"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return path


class Watched:
    """A page of which everything that goes wrong is kept.

    Attributes
    ----------
    page
        Playwright's.
    complaints
        What the console said, errors that nothing caught, and requests that failed.
    requests
        Addresses that the page asked for.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("requestfailed", lambda request: self.complaints.append(request.url))
        page.on("request", lambda request: self.requests.append(request.url))

    @property
    def foreign(self) -> list[str]:
        """Requests that leave this machine."""
        split = [urlsplit(address) for address in self.requests]
        return [s.geturl() for s in split if s.scheme not in ("file", "data", "blob") and s.hostname != "127.0.0.1"]


@contextmanager
def browsing() -> Iterator[Any]:
    """Run a headless browser that has no way to the network but loopback; yields Playwright's browser."""
    from playwright.sync_api import sync_playwright

    # The proxy does not exist, so that nothing could be reached if a page asked; containers have no user namespaces.
    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_browser(),
            args=arguments,
            proxy={"server": "http://127.0.0.1:9", "bypass": "127.0.0.1,localhost"},
        )
        yield browser
        browser.close()


# Controls without a name for those who do not see them.
NAMELESS = """() => [...document.querySelectorAll('button, input, select, a, svg, [role=region]')].filter((node) => {
  const name = node.getAttribute('aria-label') || node.textContent.trim() || node.labels?.[0]?.textContent.trim();
  return node.checkVisibility() && !node.closest('[aria-hidden=true]') && !name;
}).map((node) => node.outerHTML)"""

# WCAG 2.2, 1.4.3: 4.5 to 1 between a text and what is behind it.
FAINT = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = channels(colour).map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const colour = getComputedStyle(n).backgroundColor;
      if ((channels(colour)[3] ?? 1) > 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const faint = [];
  for (const node of document.querySelectorAll('body *')) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest('script, noscript')) continue;
    const style = getComputedStyle(node);
    const own_colour = node instanceof SVGElement ? style.fill : style.color;
    const [a, b] = [light(own_colour), light(behind(node))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) faint.push(node.outerHTML.slice(0, 100));
  }
  return faint;
}"""
