"""What the pages of the toolkit share: the look, the switch of colours, and a policy that lets nothing else run.

A page is one HTML file with its own style and script inside. Its data are a JSON block that the script turns into text
nodes, and values of the template, which are escaped; nothing that a stranger wrote is ever parsed as HTML. A content
security policy with the hashes of our own style and script lets the browser run nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

_COMMON = "t2av_bench.pages"


def render(package: str, scripts: Sequence[str], *, policy: str = "", **values: Any) -> str:
    """Return a page made of the template, style and scripts of a package.

    Parameters
    ----------
    package
        Holds ``page/page.html`` (a Jinja template), ``page/style.css`` and the scripts. The template uses the names
        ``style``, ``script`` and ``policy``.
    scripts
        Names in ``page/``, in the order of running; what all pages share runs before them.
    policy
        Further directives, for what the page may load. Without any it can load nothing at all.
    values
        For the template, which escapes them.
    """
    from jinja2 import Environment
    from markupsafe import Markup

    own = files(package).joinpath("page")
    shared = {name: files(_COMMON).joinpath(name).read_text(encoding="utf-8") for name in ("common.css", "common.js")}
    style = shared["common.css"] + own.joinpath("style.css").read_text(encoding="utf-8")
    script = shared["common.js"] + "".join(own.joinpath(name).read_text(encoding="utf-8") for name in scripts)
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment.from_string(own.joinpath("page.html").read_text(encoding="utf-8")).render(
        style=Markup(style),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        policy=_policy(style, script, policy),
        **values,
    )


def _policy(style: str, script: str, more: str) -> str:
    directives = ["default-src 'none'", f"script-src '{_digest(script)}'", f"style-src '{_digest(style)}'"]
    directives += [more] if more else []
    return "; ".join([*directives, "base-uri 'none'", "form-action 'none'"])


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
