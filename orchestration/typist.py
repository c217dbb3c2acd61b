"""A Typist: a person at a keyboard as a caller. Lines become speech, commands what else a caller does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Protocol

from orchestration.simulation import SimulatedCall
from orchestration.transcript import Transcript
from voice.floor import Blocker

TYPED_PACE = 20.0
"""Words a second at which a typed line is said: who has typed has waited already."""
SHORTEST = 0.3
"""Seconds that a line takes at least: the ear takes what is shorter than 0.08 s for a click."""
SETTLED = 0.4
"""Seconds of quiet after which a script goes on; the reply to a turn, or the greeting, has begun by then."""
PATIENCE = 120.0
"""Seconds that a script waits for the agent to fall silent, and at its end for what is owed."""
TYPED_PATIENCE = 10.0
"""Seconds that who types is kept waiting for the agent to speak."""
MAX_LINE = 1000
"""Most characters in a typed line: five minutes of talk."""
INTO = 3
"""Words of the agent's line before `/say-over` speaks."""
_CALLERS = (Blocker.CALLER_SPEAKING, Blocker.CALLER_PAUSED)
_BUSY = (*_CALLERS, Blocker.DIGITS, Blocker.AGENT_SPEAKING, Blocker.REPLY, Blocker.SPEECH)

Command = Callable[[str], Awaitable[None]]
Condition = Callable[[], bool]

HELP = """\
/say-over TEXT   wait until the agent is speaking, then speak over it
/noise SECONDS   make a noise without words
/press KEY       press a key of the telephone
/hold  /resume   put the call on hold, and back
/drop            lose the connection; the room waits 10 seconds for /rejoin
/hangup  /rejoin leave the room, and come back
/wait [SECONDS]  say nothing for a while, or until nothing is owed
/quit            end (also Ctrl-D, Ctrl-C)
Anything else is what you say; while the agent speaks, it is a barge-in.
Lines from a pipe are a script: words wait until the agent is silent, commands
do not; at the end, what is owed is waited for."""


class Screen(Protocol):
    """Where a call is seen, and typed. `patient`: its lines are a script."""

    patient: bool

    def tell(self, text: str) -> None:
        """Something that is no part of the call."""
        ...

    def show(self, transcript: Transcript) -> None:
        """The transcript has changed."""
        ...

    def typed(self) -> AsyncIterator[str]:
        """The lines that are typed, until there are no more."""
        ...


class CommandError(Exception):
    """A command cannot be carried out; the message says why and what to type."""


class Typist:
    """Who sits at `screen`, and is a caller. `transcript` is told by the room's panel; `ring` when it was."""

    def __init__(self, transcript: Transcript, screen: Screen) -> None:
        self._transcript = transcript
        self._screen = screen
        self._news = asyncio.Event()
        self._acts: asyncio.Queue[tuple[Command, str]] = asyncio.Queue()
        self._ringing = True  # nobody answers before there is a call
        self._call: SimulatedCall

    async def play(self, call: SimulatedCall) -> None:
        """Do what is typed until there is no more, or `/quit`; then hang up."""
        self._call = call
        self._refresh()
        async with asyncio.TaskGroup() as group:
            acting = group.create_task(self._act())
            await self._follow()
            acting.cancel()
        await self._call.hang_up()
        await asyncio.sleep(0)
        if owed := self._transcript.owed:
            self._transcript.add(self._call.now, "note", f"(still owed, and gone with this call: {', '.join(owed)})")
        self._refresh()

    def ring(self) -> None:
        """Something has happened in the room; it is shown with all that happens at the same time."""
        if not self._ringing:
            self._ringing = True
            asyncio.get_running_loop().call_soon(self._refresh)

    async def _follow(self) -> None:
        async for line in self._screen.typed():
            command, rest = self._read(line.strip())
            if command is None:
                return
            if command in self._at_once and not self._screen.patient:
                await self._do(command, rest)
            else:
                self._acts.put_nowait((command, rest))
            if self._screen.patient:
                await self._acts.join()
        if self._screen.patient:
            await self._do(self._wait, "")

    async def _act(self) -> None:
        """One after the other: what takes time, and the caller's one throat."""
        while True:
            await self._do(*await self._acts.get())
            self._acts.task_done()

    async def _do(self, command: Command, rest: str) -> None:
        try:
            await command(rest)
        except CommandError as error:
            self._transcript.add(self._call.now, "note", f"({error})")
            self._refresh()

    def _read(self, line: str) -> tuple[Command | None, str]:
        """What is to be done; None: end."""
        if not line.startswith("/"):
            return self._say, line
        name, _, rest = line.partition(" ")
        if name == "/quit":
            return None, ""
        return self._commands.get(name, self._unknown), rest.strip() if name in self._commands else name

    # -- what can be done

    async def _say(self, text: str) -> None:
        if not text:
            return
        if self._screen.patient:
            await self._steady(self._quiet)
        await self._speak(text)
        if self._screen.patient:
            await self._until(self._taken_in, PATIENCE)

    async def _say_over(self, text: str) -> None:
        if not text:
            raise CommandError("say over the agent what? write /say-over and the words")
        if not await self._until(self._well_into_a_line, PATIENCE if self._screen.patient else TYPED_PATIENCE):
            raise CommandError("the agent says nothing")
        await self._speak(text)

    async def _speak(self, text: str) -> None:
        if len(text) > MAX_LINE:
            raise CommandError(f"{len(text)} characters are too many to be said at once; {MAX_LINE} can be")
        self._check_here()
        entry = self._transcript.add(self._call.now, "you", text, open=True)
        try:
            await self._call.interrupt(text, pace=min(TYPED_PACE, len(text.split()) / SHORTEST))
        finally:
            entry.open = False
            self._refresh()

    async def _noise(self, rest: str) -> None:
        seconds = number(rest or "3", "/noise", 60)
        self._check_here()
        self._transcript.add(self._call.now, "you", f"(a noise of {seconds:g} s)")
        await self._call.caller.noise(seconds)

    async def _wait(self, rest: str) -> None:
        if rest:
            await self._call.silence(number(rest, "/wait", 3600))
        elif not await self._steady(self._nothing_owed):
            raise CommandError(f"waited {PATIENCE:g} s, and something is still owed")

    async def _press(self, rest: str) -> None:
        self._check_here()
        try:
            self._call.caller.press(rest)
        except ValueError as error:
            raise CommandError(str(error)) from None

    async def _hold(self, rest: str) -> None:
        self._check_here()
        self._call.caller.hold()

    async def _drop(self, rest: str) -> None:
        self._check_here()
        self._call.caller.drop()

    async def _hang_up(self, rest: str) -> None:
        if self._transcript.presence == "gone":
            raise CommandError("you have hung up already; /rejoin brings you back")
        await self._call.hang_up()

    async def _return(self, rest: str) -> None:
        if self._transcript.presence == "here":
            raise CommandError("you are in the room already")
        await self._call.rejoin()

    async def _help(self, rest: str) -> None:
        self._screen.tell(HELP)

    async def _unknown(self, name: str) -> None:
        raise CommandError(f"there is no {name}; /help lists what there is")

    @property
    def _commands(self) -> Mapping[str, Command]:
        return {
            "/say-over": self._say_over,
            "/noise": self._noise,
            "/wait": self._wait,
            "/press": self._press,
            "/hold": self._hold,
            "/resume": self._return,
            "/drop": self._drop,
            "/hangup": self._hang_up,
            "/rejoin": self._return,
            "/help": self._help,
        }

    @property
    def _at_once(self) -> Sequence[Command]:
        return [self._press, self._hold, self._drop, self._hang_up, self._return, self._help, self._unknown]

    def _check_here(self) -> None:
        if self._transcript.presence != "here":
            raise CommandError("nobody hears you; /resume or /rejoin brings you back")

    # -- how things stand

    def _refresh(self) -> None:
        self._ringing = False
        transcript, session = self._transcript, self._call.runtime.session(self._call.room)
        transcript.heard(self._call.lines)
        for id in transcript.deliveries:
            transcript.waits(id, session.desk.reason(id) if session else "")
        self._news.set()
        self._screen.show(transcript)

    def _taken_in(self) -> bool:
        """What the caller said is a turn by now, or was dropped."""
        return self._transcript.blocker not in _CALLERS

    def _quiet(self) -> bool:
        """Neither side speaks, and no reply is to come."""
        return not self._transcript.audible and self._transcript.blocker not in _BUSY

    def _nothing_owed(self) -> bool:
        """Nothing more will be said, unless somebody asks; or nobody is there to hear it."""
        return self._quiet() and (not self._transcript.owed or self._transcript.presence != "here")

    def _well_into_a_line(self) -> bool:
        line = self._call.lines[-1] if self._call.lines else None
        return line is not None and not line.over and len(line.heard.split()) >= INTO

    async def _until(self, condition: Condition, within: float) -> bool:
        """Wait for a condition; False: it did not come in time."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def _steady(self, condition: Condition) -> bool:
        """Wait until a condition holds for a while; False: it did not within PATIENCE."""
        end = self._call.now + PATIENCE
        while await self._until(condition, end - self._call.now):
            await asyncio.sleep(SETTLED)
            if condition():
                return True
        return False


def number(text: str, command: str, most: float) -> float:
    """Seconds, as typed after a command. Raises CommandError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= most:
        raise CommandError(f"{command} takes seconds, up to {most:g}: {command} 3")
    return seconds
