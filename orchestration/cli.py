"""The command `sottovoce`: serve, chat, doctor. Every mistake gets one clear line on stderr and an exit code."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from orchestration import __version__

if TYPE_CHECKING:
    from orchestration.runtime import Runtime

LEVELS = ("debug", "info", "warning", "error")

app = typer.Typer(
    name="sottovoce",
    help="A real-time voice agent runtime: the talk goes on while work is done underneath.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Target = Annotated[str, typer.Argument(help="app:runtime, or path/to/app.py", metavar="APP:RUNTIME")]


def fail(error: Exception | str) -> NoReturn:
    """Say what is wrong and end."""
    typer.echo(f"sottovoce: {error}", err=True)
    raise typer.Exit(1)


def version(wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        typer.echo(f"sottovoce {__version__}")
        raise typer.Exit


@app.callback()
def main_options(
    _: Annotated[bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """A real-time voice agent runtime."""


@app.command()
def serve(
    target: Target,
    host: Annotated[
        str, typer.Option(help="Address to listen on; browsers give the microphone to localhost or https only.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port for the page and the callers' sound (0: any free one).")] = 8080,
    address: Annotated[
        str | None,
        typer.Option(help="URL at which callers reach this process and no other, when several share the rooms."),
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
) -> None:
    """Let browsers join the rooms of a runtime: http://localhost:8080."""
    from orchestration.serving import serve as run

    if log_level.lower() not in LEVELS:
        fail(f"--log-level: {log_level!r} is not known; use {', '.join(LEVELS)}")
    logging.basicConfig(level=log_level.upper(), format="%(levelname)s %(name)s: %(message)s")
    runtime = loaded(target)
    try:
        runtime.address = address or runtime.address
    except ValueError as error:
        fail(f"--{error}")
    try:
        asyncio.run(run(runtime, host=host, port=port, ready=announce))
    except cannot_open() as error:
        fail(error)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def loaded(target: str) -> Runtime:
    """The runtime that the target names. What is wrong inside the user's module comes with its traceback."""
    from orchestration.target import TargetError, load

    try:
        return load(target)
    except TargetError as error:
        fail(error)


def cannot_open() -> tuple[type[Exception], ...]:
    """What says that the port, or a part of a runtime, cannot be opened, and what to do: set a key, for example."""
    from delivery.ledger import LedgerError
    from orchestration.engines.engine import EngineError
    from orchestration.serving import PortError
    from orchestration.storage import StorageError
    from voice.provider_error import ProviderError
    from voice.providers import NoProviderError

    return PortError, LedgerError, EngineError, StorageError, NoProviderError, ProviderError


def announce(url: str) -> None:
    """Callers can come."""
    typer.echo(f"Sottovoce is listening: open {url} and press Join. Ctrl-C ends it.")


@app.command()
def chat(target: Target) -> None:
    """Play a call with the agent in the terminal: you type what the caller says."""
    from orchestration.chat import chat as play

    play(loaded(target))


@app.command()
def doctor(
    target: Annotated[
        str | None,
        typer.Argument(help="app:runtime, or path/to/app.py; without it, this machine", metavar="APP:RUNTIME"),
    ] = None,
) -> None:
    """Say what is installed, which providers would be used and why, and what would improve it."""
    from rich.console import Console
    from rich.table import Table

    from orchestration.doctor import examine, healthy

    findings = examine(loaded(target) if target else None)
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "provider", "", "found", "would help"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        check = finding.check
        table.add_row(finding.part, check.name, finding.use, check.detail, check.fix)
    Console(markup=False, emoji=False).print(table)  # or the [extras] to install would be taken for markup
    if not healthy(findings):
        fail("a part has nothing usable; see the last column")


def main() -> None:
    """Entry point of the console script."""
    app()
