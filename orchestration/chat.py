"""Chat: a call with the agent in the terminal. What you type the caller says; what their ear hears is written down.

It is a simulated call in real time, on an isolated copy of the runtime: the same agent, floor, ledger, tasks and
deliveries, without audio. Typing while the agent speaks is a barge-in. Lines from a pipe are a script: each is said
once the agent has fallen silent, and at the end what is owed is waited for.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, Self

from orchestration import ensemble
from orchestration.admission import RuntimeGate
from orchestration.gate import Help
from orchestration.printer import Printer
from orchestration.room import Room
from orchestration.runtime import Runtime
from orchestration.simulation import SimulatedCall
from orchestration.transcript import Transcript
from orchestration.typist import Screen, Typist
from voice.endpointing import FixedSilence
from voice.simulated import SimulatedChannel

PACE = 4.0
"""Words a second at which the agent speaks: brisk, but you can read along."""
SILENCE = 0.3
"""Seconds of silence that end a turn: a line is a whole one."""


def chat(runtime: Runtime) -> None:
    """Play a call in this terminal, or from standard input to standard output. Returns when it is over."""
    try:
        asyncio.run(_chat(runtime))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return  # Ctrl-C, or nobody reads what is printed


async def _chat(runtime: Runtime) -> None:
    await ensemble.prepare(runtime.orchestration)  # who lacks a key learns it now, and the first answer comes at once
    try:
        await _play(runtime)
    finally:
        await ensemble.close(runtime.orchestration)


async def _play(runtime: Runtime) -> None:
    typing = sys.stdin.isatty()
    if typing and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        from orchestration.terminal import Terminal

        async with Terminal() as terminal:
            await play(runtime, terminal)
        return
    printer = Printer(sys.stdout, sys.stdin.fileno(), patient=not typing, gone=lambda: playing.cancel())
    playing = asyncio.ensure_future(play(runtime, printer))
    await playing


async def play(runtime: Runtime, screen: Screen) -> None:
    """A call of whoever types at `screen` with the runtime's agent."""
    transcript = Transcript()
    typist = Typist(transcript, screen)

    def channels(_: Room) -> SimulatedChannel:
        return _ShownChannel(transcript.told, typist.ring)

    async with runtime.simulated(channels) as copy:
        screen.tell(introduction(RuntimeGate(copy).help()))
        session = await copy.enter("chat")
        await typist.play(SimulatedCall(copy, session, "you"))


def introduction(help: Help) -> str:
    """What a person has to know before the first word."""
    lines = ["You type what the caller says; /help tells what else you can do, /quit ends the call."]
    if help.note:
        lines.append(help.note)
    if help.phrases:
        lines.append("Say, for example: " + " | ".join(phrase.say for phrase in help.phrases))
    return "\n".join(lines)


class _ShownChannel(SimulatedChannel):
    """A simulated channel whose panel somebody sees."""

    def __init__(self, show: Callable[[str, Mapping[str, Any]], None], changed: Callable[[], None]) -> None:
        super().__init__(pace=PACE, endpointer=FixedSilence(silence=SILENCE))
        self._show = show
        self._changed = changed

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.listen(lambda event, at: self._changed())
        return self

    def send_panel(self, kind: str, payload: Mapping[str, Any], to: str | None = None) -> None:
        """Show something to those who can see."""
        self._show(kind, payload)
        self._changed()
