"""``t2av-bench protocols``."""

from __future__ import annotations

import click


@click.command()
@click.argument("name", required=False)
def protocols(name: str | None) -> None:
    """List the protocols that `evaluate --protocol` takes, or show what one of them computes.

    All but t2av-bench/1 reproduce another toolkit, its oddities included.
    """
    from t2av_bench.errors import no_such_name
    from t2av_bench.presets import PROTOCOL_PRESETS
    from t2av_bench.protocol import OURS, PROTOCOLS

    if name is None:
        width = max(map(len, PROTOCOLS))
        click.echo(f"{OURS:{width}}  The toolkit's own: see README.md.")
        for preset in PROTOCOL_PRESETS.values():
            click.echo(f"{preset.name:{width}}  {preset.summary} ({preset.project})")
        return
    if name not in PROTOCOL_PRESETS:
        raise no_such_name(f"There is no protocol of another toolkit named {name!r}", name, PROTOCOL_PRESETS)
    preset = PROTOCOL_PRESETS[name]
    click.echo(f"{preset.name}: {preset.summary}\nReproduces {preset.project} @ {preset.commit}")
    click.echo("\nScores")
    for spec in preset.scores:
        parts = ", ".join(dict.fromkeys(preset.extractors[block] for block in spec.blocks))
        click.echo(f"  {spec.name} ({parts}; {'higher' if spec.higher_is_better else 'lower'} is better)")
    for title, lines in (
        ("Not computed", [f"{score}: {reason}" for score, reason in preset.absent.items()]),
        ("To know", preset.quirks),
    ):
        if lines:
            click.echo(f"\n{title}")
            for line in lines:
                click.echo(f"  {line}")
