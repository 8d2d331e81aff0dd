"""The ``t2av-bench`` command: one module per sub-command, imported when it is called."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, TextIO

import click

from t2av_bench._version import __version__
from t2av_bench.errors import (
    FewSamplesWarning,
    ManifestWarning,
    OutOfMemoryWarning,
    ProblemsError,
    T2AVBenchError,
    UsageError,
    no_such_name,
)

_COMMANDS = {
    "evaluate": ("t2av_bench.cli.evaluate:evaluate", "Score a folder of predictions against a manifest."),
    "compare": ("t2av_bench.cli.compare:compare", "Test whether systems differ, score by score."),
    "correlate": ("t2av_bench.cli.correlate:correlate", "Set scores against human ratings."),
    "validate-metrics": (
        "t2av_bench.cli.validate_metrics:validate_metrics",
        "See which scores notice what goes wrong with a sound.",
    ),
    "generate": ("t2av_bench.cli.generate:generate", "Generate sounds for videos with the reference system."),
    "train-reference": (
        "t2av_bench.cli.train_reference:train_reference",
        "Train the reference system T2AV, the recipe mini or your own.",
    ),
    "ablate": ("t2av_bench.cli.ablate:ablate", "Train variants of the reference system and compare them."),
    "report": ("t2av_bench.cli.report:report", "Make a page to look at and listen to what was scored."),
    "leaderboard": ("t2av_bench.cli.leaderboard:leaderboard", "Collect, check and publish results of many systems."),
    "download": ("t2av_bench.cli.download:download", "Fetch and verify manifests and weights."),
    "manifest": ("t2av_bench.cli.manifest:manifest", "Show, build, check and filter manifests."),
    "pack": ("t2av_bench.cli.pack:pack", "Score without the videos: build, verify and show reference packs."),
    "protocols": ("t2av_bench.cli.protocols:protocols", "List the protocols of other toolkits, or show one."),
    "doctor": ("t2av_bench.cli.doctor:doctor", "Say what works here, what is missing and how to get it."),
    "demo": ("t2av_bench.cli.demo:demo", "Score sounds of known quality on the built-in mini world."),
}
# Reasons of the disk, its rights and its server, of which a program can only tell.
_OF_THE_SYSTEM = frozenset(
    (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE)
    + (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE)
)


class _LazyGroup(click.Group):
    """A group whose help needs no sub-command's module, so that ``--help`` is instant."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command; of several processes, only the first speaks."""
        from t2av_bench.cli._speaking import only_the_first_speaks

        with only_the_first_speaks():
            return super().main(*args, **extra)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in _COMMANDS and not name.startswith("-"):
            ctx.fail(str(no_such_name(f"There is no command {name!r}", name, _COMMANDS)))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Turn our errors into one line and an exit code: 1 for a failure, 2 for wrong usage, 143 after SIGTERM."""
        from t2av_bench.stopping import EXIT_CODE, Stopped, stopping_on_sigterm

        try:
            with stopping_on_sigterm(), _plain_warnings():
                return super().invoke(ctx)
        except UsageError as error:
            raise click.UsageError(str(error)) from error
        except ProblemsError as error:
            raise click.ClickException(_listed(error)) from error
        except T2AVBenchError as error:
            raise click.ClickException(str(error)) from error
        except Stopped as stop:
            click.echo(f"Error: stopped by SIGTERM; {_way_on(ctx, str(stop))}", err=True)
            ctx.exit(EXIT_CODE)
        except KeyboardInterrupt as stop:
            raise click.ClickException(f"interrupted; {_way_on(ctx, str(stop))}") from None
        except OSError as error:
            if error.errno not in _OF_THE_SYSTEM:
                raise
            raise click.ClickException(_system_reason(error)) from error


def _way_on(ctx: click.Context, done: str) -> str:
    """Say how an interrupted command goes on, and what is done where the command itself knows."""
    if ctx.invoked_subcommand == "train-reference":
        done = done or "what is done up to the last checkpoint is kept"
        return f"{done}, and the same command with --resume goes on from there"
    return f"{done or 'what is done so far is kept'}, and the same command goes on from there"


def _system_reason(error: OSError) -> str:
    """Say what the system refused, and where; of the home folder, which nobody has typed, how to choose another."""
    from t2av_bench.home import home

    place = f"{error.filename}: " if error.filename else ""
    way_out = ". T2AV_BENCH_HOME chooses another home folder" if str(error.filename).startswith(str(home())) else ""
    return f"{place}{error.strerror or error}; what is done so far is kept{way_out}"


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print our warnings as one line, without the place in the code."""
    with warnings.catch_warnings():
        shown = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, (FewSamplesWarning, ManifestWarning, OutOfMemoryWarning)):
                click.echo(f"Warning: {message}", err=True)
            else:
                shown(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def _listed(error: ProblemsError) -> str:
    if not error.problems:
        return str(error)
    from t2av_bench.cli._problems import problem_lines

    return "\n".join(filter(None, [f"{error}:", *problem_lines(error.problems), error.advice]))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="t2av-bench")
def main() -> None:
    """Measure video-aligned text-to-audio systems.

    A system gets a silent video and a caption and must produce the sound, at the right moments. Start with
    `t2av-bench demo`, then `t2av-bench evaluate --pred-dir DIR`.
    """
