"""A scripted caller of a simulated channel: what they do, and what their ear heard, at exact times."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from voice.alarm import Alarm
from voice.channel import Caller
from voice.ear_signals import Conclude, EarAction, EarInput, Hushed, Listen, Restart, VoiceOff, VoiceOn
from voice.events import DIGITS, Deafness, DigitPressed
from voice.simulated_ear import Line, SimulatedEar
from voice.stt.recognizer import Final, Hearing, Partial

if TYPE_CHECKING:
    from voice.simulated import SimulatedChannel

CLICK = 0.02
"""Seconds a click lasts."""


class _Recognizer:
    """Hears what the script says. Answers after `delay` seconds."""

    def __init__(self, caller: SimulatedCaller, delay: float) -> None:
        self._caller = caller
        self._delay = delay
        self._loop = asyncio.get_running_loop()
        self._spoken: list[tuple[float, str]] = []
        self._since: float | None = None
        self._asked = 0

    def word(self, word: str) -> None:
        self._spoken.append((self._loop.time(), word))
        if self._since is not None:
            self._answer(Partial(self._text))

    def listen(self, since: float) -> None:
        self._since = since
        self._spoken = [(end, word) for end, word in self._spoken if end > since]
        if self._spoken:
            self._answer(Partial(self._text))

    def conclude(self) -> None:
        self._answer(Final(self._text))
        self._since = None

    def restart(self) -> None:
        self._asked += 1
        self._since = None

    @property
    def _text(self) -> str:
        return " ".join(word for _, word in self._spoken)

    def _answer(self, hearing: Hearing) -> None:
        if self._delay:
            self._loop.call_later(self._delay, self._say, hearing, self._asked)
        else:
            self._say(hearing, self._asked)

    def _say(self, hearing: Hearing, asked: int) -> None:
        if asked == self._asked:
            self._caller.perceive(hearing)


class SimulatedCaller:
    """Made by `SimulatedChannel.join`. Speech takes the time that a person would need.

    While they are on hold or their connection is broken, they neither hear nor are heard. `ear` is what they hear with.
    """

    def __init__(self, channel: SimulatedChannel, caller: Caller, ear: SimulatedEar) -> None:
        self.caller = caller
        self.ear = ear
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._turns = channel.ear_for(caller.id)
        self._alarm = Alarm(self._ring)
        self._recognizer = _Recognizer(self, channel.stt_delay)
        self._pending: list[EarInput] = []
        self._perceiving = False
        self._talking = False
        self._voiced = False
        self._connected = False
        self.reconnect()

    @property
    def name(self) -> str:
        return self.caller.name

    @property
    def speaking(self) -> bool:
        """They make a sound now."""
        return self._talking

    # -- what they say

    async def say(
        self, text: str, *, pace: float | None = None, pauses: Iterable[tuple[int | str, float]] = ()
    ) -> tuple[float, float]:
        """Speak; returns when they have stopped, with the times at which they began and stopped.

        `pace`: words a second. `pauses`: seconds of silence after a word, which is given as how many words have been
        said by then, or as the word itself (its first occurrence).
        """
        words = text.split()
        if not words:
            raise ValueError("there is nothing to say: give a text with at least one word")
        seconds = 1 / (pace or self._channel.pace)
        silent = self._pauses(words, pauses)
        with self._voice():
            begun = at = self._loop.time()
            for number, word in enumerate(words, 1):
                at += seconds
                await self._until(at)
                if self._connected:
                    self._recognizer.word(word)
                if pause := silent.get(number):
                    self._sound(False)
                    at += pause
                    await self._until(at)
                    self._sound(True)
        return begun, at

    def start_saying(
        self, text: str, *, pace: float | None = None, pauses: Iterable[tuple[int | str, float]] = ()
    ) -> asyncio.Task[tuple[float, float]]:
        """Begin to speak and go on with the script meanwhile; await what is returned for the end of the speech."""
        return self._channel.run_script(self.say(text, pace=pace, pauses=pauses))

    async def backchannel(self, text: str = "mm-hm", *, pace: float | None = None) -> tuple[float, float]:
        """Say that they listen."""
        return await self.say(text, pace=pace)

    async def noise(self, seconds: float) -> tuple[float, float]:
        """Voice activity without words, of even loudness: a fan, a street, a cough."""
        with self._voice():
            begun = self._loop.time()
            await self._until(begun + seconds)
        return begun, begun + seconds

    async def click(self) -> tuple[float, float]:
        """A click of 20 ms."""
        return await self.noise(CLICK)

    def press(self, digit: str) -> None:
        """Press a key of the telephone."""
        if digit not in DIGITS:
            raise ValueError(f"digit must be one of {''.join(sorted(DIGITS))}, not {digit!r}")
        if self._connected:
            self._channel.tell(DigitPressed(self.caller.id, digit))

    # -- how they are connected

    def hold(self) -> None:
        """Put the call on hold."""
        self._deafen(Deafness.HELD)

    def resume(self) -> None:
        """Take the call from hold."""
        self.reconnect()

    def drop(self) -> None:
        """The connection breaks; the room waits for a while."""
        self._deafen(Deafness.RECONNECTING)

    def reconnect(self) -> None:
        """The connection is there again; if the room has given up waiting, or they hung up, they come in anew."""
        if self._connected:
            return
        self._connected = True
        if self.caller.id in self._channel.callers:
            self._channel.hear_again(self.caller.id, self.ear)
        else:
            self._channel.enter(self.caller, self._turns, self.ear)
        if self._voiced:
            self.perceive(VoiceOn())

    def hang_up(self) -> None:
        """Leave for good."""
        self._disconnect()
        self._channel.leave(self.caller.id)

    # -- what they hear

    @property
    def lines(self) -> list[Line]:
        """What this ear heard, in order."""
        return self.ear.lines

    async def hears(self, text: str, timeout: float = 60.0) -> Line:
        """Wait until this ear has heard `text`; see `SimulatedEar.hears`."""
        return await self.ear.hears(text, timeout)

    # -- for the recogniser and for themselves

    def perceive(self, event: EarInput) -> None:
        """Let the room's ear take in what this caller does, if they are connected; what follows comes after it."""
        if not self._connected:
            return
        self._pending.append(event)
        self._work()

    def _ring(self) -> None:
        self._work()

    def _work(self) -> None:
        if self._perceiving:
            return
        self._perceiving = True
        try:
            self._act(self._turns.expire(self._loop.time()))
            while self._pending:
                self._act(self._turns.handle(self._pending.pop(0), self._loop.time()))
        finally:
            self._perceiving = False
        self._alarm.set(self._turns.deadline())

    def _act(self, actions: Iterable[EarAction]) -> None:
        for action in actions:
            match action:
                case Listen(since):
                    self._recognizer.listen(since)
                case Conclude():
                    self._recognizer.conclude()
                case Restart():
                    self._recognizer.restart()
                case _:
                    self._channel.tell(action)

    def _sound(self, on: bool) -> None:
        self._voiced = on
        self.perceive(VoiceOn() if on else VoiceOff())

    @contextmanager
    def _voice(self) -> Iterator[None]:
        """One throat makes one sound at a time."""
        if self._talking:
            raise RuntimeError(f"{self.name} is speaking already: await the end of that first")
        self._talking = True
        try:
            self._sound(True)
            yield
        finally:
            self._sound(False)
            self._talking = False

    async def _until(self, when: float) -> None:
        """Wait for an exact time."""
        if when <= self._loop.time():
            return
        come = asyncio.Event()
        timer = self._loop.call_at(when, come.set)
        try:
            await come.wait()
        finally:
            timer.cancel()

    def _deafen(self, why: Deafness) -> None:
        if self._connected:
            self._disconnect()
            self._channel.deafen(self.caller.id, why)

    def _disconnect(self) -> None:
        if self._connected:
            self.perceive(Hushed())
            self._connected = False
            self._recognizer.restart()
            self.ear.silence()

    @staticmethod
    def _pauses(words: Sequence[str], pauses: Iterable[tuple[int | str, float]]) -> dict[int, float]:
        """Seconds of silence by how many words were said before."""
        silent = {}
        for after, seconds in pauses:
            number = after if isinstance(after, int) else words.index(after) + 1 if after in words else 0
            if not 0 < number < len(words):
                raise ValueError(f"pauses: {after!r} must be a word of the text, or a count of them, before its end")
            silent[number] = seconds
        return silent
