"""Voicing: the work on one utterance whose sound a model makes: its own reply as it comes, and lines that it is given.

What is no reply of the model's (a delivery, a greeting, what a strategy adds to a reply) is a line: the model speaks it
word for word, when the floor lets us. A line that is refused is tried again, and then left to whoever wanted it said.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from voice.leg import FRAME_SAMPLES
from voice.making import MAX_PIECES, PAUSED, STALLED, SynthesisError, TextError, close
from voice.provider_error import ProviderError
from voice.realtime.reckoning import Pace, Reckoning, Stretch
from voice.realtime.replies import VOICE, Replies, Voice
from voice.realtime.take import Take
from voice.utterance import SpokenUtterance

log = logging.getLogger("sottovoce.speaking")

TRIES = 3
"""How often a line that the model refuses is offered."""
PAUSE = 0.5
"""Seconds between two tries: most of what it is refused for is over by then."""


class UnsaidError(Exception):
    """The model would not say it: it can be said later. `reason` is one word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Lines(Protocol):
    """Has lines spoken."""

    async def speak(self, text: str, utterance: SpokenUtterance) -> Take | None:
        """The take in which it is spoken; None: it was refused. Raises UnsaidError, ProviderError."""
        ...

    def stop(self, utterance: SpokenUtterance, reason: str) -> None:
        """Nothing (more) of it will be said."""
        ...


class Voicing(Voice):
    """The work on one utterance. `made(samples)` is called for sound that can be played."""

    def __init__(
        self, utterance: SpokenUtterance, made: Callable[[int], None], replies: Replies, lines: Lines, pace: Pace
    ) -> None:
        self.utterance = utterance
        self.turn = utterance.reply_to.id if utterance.reply_to else None
        self.demand = asyncio.Event()
        self.takes: list[Take] = []
        """Whose sound it has, or is going to have."""
        self._made = made
        self._replies = replies
        self._lines = lines
        self._pace = pace
        self._marks = Reckoning()
        utterance.playout.marks = self._marks
        self._items: asyncio.Queue[Take | tuple[int, str] | Exception | None] = asyncio.Queue(MAX_PIECES)
        self._stretches: dict[Take, Stretch] = {}
        self._begins: dict[Take, int] = {}
        """From which character of the text on a take has its words."""
        self._handed: Take | None = None
        self._total = 0

    # -- Voice

    def take_up(self, take: Take) -> None:
        """The sound of this take is the utterance's next."""
        self._stretches[take] = Stretch(self._pace)
        self.takes.append(take)
        self._items.put_nowait(take)

    def handed(self, take: Take) -> None:
        """Words of this take were handed to whoever makes the utterance's text."""
        self._handed = take

    def heard_of(self, take: Take) -> str:
        """What was heard of a take, as far as it is known."""
        begin = self._begins.get(take)
        return "" if begin is None else self.utterance.heard[begin:].strip()

    # -- Work

    async def run(self) -> None:
        """Make all of it. Returns when that is done, or failed (`utterance.failed`)."""
        utterance, cut = self.utterance, True
        try:
            if isinstance(utterance.source, str):
                await self._say(utterance.source, 0)
            else:
                await self._follow(utterance.source)
            cut = False
        except* UnsaidError as errors:
            error = _first(errors)
            log.info("utterance %s is not said now: %s", utterance.id, error)
            self._lines.stop(utterance, str(error))
        except* Exception as errors:
            error = _first(errors)
            known = isinstance(error, ProviderError)
            utterance.failed = True
            utterance.voiceless = known and not self._total
            trace = None if known else error
            log.error("utterance %s cannot be made: %s: %s", utterance.id, type(error).__name__, error, exc_info=trace)
        finally:
            self._replies.close(self, cut=cut)
            for stretch in self._stretches.values():
                stretch.learn()

    # -- inside

    async def _follow(self, source: AsyncIterator[str]) -> None:
        """Speak a text while it comes in, and what the model says of it."""
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read(source))
            try:
                item = await self._items.get()
                while item is not None:
                    match item:
                        case Take():
                            await self._play(item)
                            item = await self._items.get()
                        case Exception() if isinstance(item, ProviderError):
                            raise item
                        case Exception():
                            raise TextError(f"its text broke off: {type(item).__name__}: {item}") from item
                        case (start, text):
                            text, item = await self._gather(start, text)
                            await self._say(text, start)
            finally:
                reader.cancel()

    async def _read(self, source: AsyncIterator[str]) -> None:
        """Tell the model's own words from lines, and hand these on."""
        VOICE.set(self)
        utterance = self.utterance
        try:
            async for piece in source:
                if not isinstance(piece, str):
                    raise TypeError(f"a text consists of str, not {type(piece).__name__}")
                start, take = len(utterance.text), self._handed
                self._handed = None
                utterance.add_text(piece)
                if take is None:
                    await self._items.put((start, piece))
                else:
                    self._begins.setdefault(take, start)
                    self._marks.read(self._stretches[take], piece, start)
                    self._made(0)
        except Exception as error:
            await self._items.put(error)
        else:
            await self._items.put(None)
        finally:
            await close(source)

    async def _gather(self, start: int, text: str) -> tuple[str, Take | tuple[int, str] | Exception | None]:
        """A line with what belongs to it: what comes without a pause. Returns it, and what comes after it."""
        while True:
            try:
                async with asyncio.timeout(PAUSED):
                    item = await self._items.get()
            except TimeoutError:
                return text, await self._items.get() if self._blank(text) else (start + len(text), "")
            if not isinstance(item, tuple) or item[0] != start + len(text):
                return text, item
            text += item[1]

    @staticmethod
    def _blank(text: str) -> bool:
        return not any(map(str.isalnum, text))

    async def _say(self, text: str, start: int) -> None:
        """Have a line spoken."""
        if self._blank(text):
            return
        for tried in range(1, TRIES + 1):
            take = await self._lines.speak(text, self.utterance)
            if take is not None:
                self._stretches[take] = Stretch(self._pace)
                self.takes.append(take)
                self._begins[take] = start
                self._marks.read(self._stretches[take], text, start)
                await self._play(take)
                return
            if tried < TRIES:
                await asyncio.sleep(PAUSE)
        raise UnsaidError("refused")

    async def _play(self, take: Take) -> None:
        """The sound of a take, as it comes."""
        stretch, begin = self._stretches[take], self._total
        self._marks.play(stretch, begin)
        while (pcm := await _within(STALLED, take)) is not None:
            self._add(pcm)
        self._add(bytes(2 * (-self._total % FRAME_SAMPLES)))
        self._marks.close(stretch, self._total, short=take.cut or take.error is not None)
        self.utterance.short = self.utterance.short or take.cut
        self._made(0)
        if take.error is not None:
            raise take.error
        if take.line is not None and self._total == begin:
            raise SynthesisError("the model made no sound of it")

    def _add(self, pcm: bytes) -> None:
        if samples := len(pcm) // 2:
            self._total += samples
            self.utterance.pcm += pcm
            self._made(samples)


async def _within(seconds: float, take: Take) -> bytes | None:
    """The next sound of a take; None at its end."""
    try:
        async with asyncio.timeout(seconds):
            return await take.sound.get()
    except TimeoutError as error:
        raise SynthesisError(f"no sound for {seconds:g} s") from error


def _first(errors: ExceptionGroup) -> Exception:
    error: Exception = errors
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
