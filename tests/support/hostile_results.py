"""Results whose every text tries to be something else."""

from __future__ import annotations

from dataclasses import replace

from made_boards import submission

import t2av_bench as tb

ATTACKS = [
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<!--<script>", "<img src=x onerror=alert(1)>",
    "\"><svg onload=alert(1)>", "' onmouseover='alert(1)", "{{ 7*7 }}{% raw %}", "javascript:alert(1)", "${alert(1)}",
    "__proto__", "constructor", "\u202egnp.exe", "a\x00b\x1b[2Jc", "line\u2028break\nand another", "../../etc/passwd",
    "C:\\Windows\\x", "=HYPERLINK(\"http://evil.example\")", "[click](javascript:alert(1))", "a|b|c", "\\input{/etc/passwd}",
    "$\\write18{id}$", "^^5cinput", "!!python/object/apply:os.system [id]", "&lt;b&gt;", "😈" * 50, "#", "a: b\n- c",
]  # fmt: skip


def with_everywhere(attack: str, name: str = "") -> tb.Result:
    """Return a valid submission with a string in every place that takes one."""
    base = submission(name or attack[:150])
    return replace(
        base,
        system={"name": name or attack[:150], "description": attack},
        manifest={**base.manifest, "name": attack[:150], "version": attack[:40], "licence": attack},
        protocol={**base.protocol, "features": attack[:80], "name": attack[:80], "extractors": {"audio": attack[:80]}},
        absent={attack: attack},
        problems=[{"clip_id": attack, "kind": attack[:80], "path": attack, "reason": attack}],
        not_comparable_because=[attack],
        notes=[attack],
        environment={attack: attack},
        command=attack,
        created=attack[:30],
        tool_version=attack,
        scores={n: replace(s, withheld={attack: attack}, settings={attack: attack}) for n, s in base.scores.items()},
    )
