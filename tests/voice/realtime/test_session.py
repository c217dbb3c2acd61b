"""Every speech-to-speech model keeps the contract of `voice/realtime/session.py`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest

from tests.voice.doubles import QUIET
from tests.voice.realtime.providers import Entry, Stage, params
from voice.provider_error import ProviderError
from voice.realtime.session import (
    CallerSaid,
    CallerStarted,
    Function,
    FunctionCalled,
    Injection,
    Instructions,
    RealtimeSession,
    Refused,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SessionEvent,
)

E = TypeVar("E", bound=SessionEvent)
SCHEMA = {"type": "object", "properties": {"table": {"type": "integer"}}, "required": ["table"]}
BOOK = Function("book", "Books a table for so many.", SCHEMA)
LONG = "one two three four five six seven eight nine ten"
LINE = "your table is ready"


class Talker:
    """The caller, and whoever reads what the session tells."""

    def __init__(self, stage: Stage, session: RealtimeSession) -> None:
        self.stage, self.session = stage, session
        self.told: list[SessionEvent] = []
        self._stream = aiter(session)
        self._to_push: list[bytes] = []

    async def microphone(self) -> None:
        """Where sound takes its time: a frame after the other, silence too."""
        while self.stage.pace:
            self.session.push(self._to_push.pop(0) if self._to_push else QUIET)
            await asyncio.sleep(self.stage.pace)

    def push(self, frames: Sequence[bytes]) -> None:
        if self.stage.pace:
            self._to_push.extend(frames)
        else:
            for frame in frames:
                self.session.push(frame)

    def say(self, text: str) -> None:
        self.push(self.stage.frames(text))

    async def until(self, kind: type[E]) -> E:
        """Read on, to the next of this kind."""
        while True:
            event = await anext(self._stream)
            self.told.append(event)
            if isinstance(event, kind):
                return event

    async def reply(self) -> str:
        """Read the next reply, to its end; its text."""
        await self.until(ReplyStarted)
        begun = len(self.told)
        await self.until(ReplyEnded)
        return said(self.told[begun:])

    @property
    def replies(self) -> list[list[SessionEvent]]:
        """What belongs to each reply so far."""
        found: list[list[SessionEvent]] = []
        for event in self.told:
            if isinstance(event, ReplyStarted):
                found.append([])
            if found and isinstance(event, ReplyStarted | ReplyAudio | ReplyText | ReplyEnded):
                found[-1].append(event)
        return found


def said(events: Sequence[SessionEvent]) -> str:
    """The words only: services write capitals and full stops."""
    text = " ".join(event.text for event in events if isinstance(event, ReplyText))
    return " ".join(re.findall(r"[\w']+", text.lower()))


def sound(events: Sequence[SessionEvent]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, ReplyAudio))


def well_formed(told: Sequence[Any]) -> bool:
    """Replies do not overlap, end once, and have nothing outside them; their sound is whole samples."""
    opened = False
    for event in told:
        if isinstance(event, ReplyStarted | ReplyEnded):
            if opened == isinstance(event, ReplyStarted):
                return False
            opened = not opened
        elif isinstance(event, ReplyAudio | ReplyText) and not opened:
            return False
        if isinstance(event, ReplyAudio) and (not event.pcm or len(event.pcm) % 2):
            return False
    return True


@pytest.fixture(params=params())
def entry(request: pytest.FixtureRequest) -> Entry:
    found: Entry = request.param
    return found


@asynccontextmanager
async def talk(stage: Stage, prompt: str = "echo", *functions: Function) -> AsyncIterator[Talker]:
    await stage.model.prepare()
    session = await stage.model.open(Instructions(stage.prompts[prompt], functions))
    talker = Talker(stage, session)
    microphone = asyncio.create_task(talker.microphone())
    try:
        yield talker
        assert well_formed(talker.told)
    finally:
        microphone.cancel()
        with suppress(asyncio.CancelledError):
            await microphone
        await session.aclose()


def play(entry: Entry, scene: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        async with entry.opened() as stage:
            await scene(stage)

    entry.run(main())


def needs(stage: Stage, *how: Injection) -> None:
    missing = set(how) - set(stage.model.capabilities.injection)
    if missing:
        pytest.skip(f"it cannot take a line {', '.join(sorted(missing))}")


def test_a_turn_gets_a_reply(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        async with talk(stage) as talker:
            talker.say("hello there")
            assert "you said hello there" in await talker.reply()
            kinds = [type(event) for event in talker.told]
            assert kinds.index(CallerStarted) < kinds.index(CallerSaid) < kinds.index(ReplyStarted)
            turns = [event.text for event in talker.told if isinstance(event, CallerSaid) and event.final]
            assert [re.sub(r"\W+", " ", turn.lower()).strip() for turn in turns] == ["hello there"]
            assert talker.replies[0][0] == ReplyStarted(None)
            assert talker.replies[0][-1] == ReplyEnded(cut=False)
            assert len(sound(talker.replies[0])) >= 32_000 * 0.2

    play(entry, scene)


def test_turns_follow_each_other(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        async with talk(stage) as talker:
            for text in ("hello there", "good morning"):
                talker.say(text)
                assert f"you said {text}" in await talker.reply()

    play(entry, scene)


def test_a_function_is_called_and_its_result_is_spoken(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        async with talk(stage, "book", BOOK) as talker:
            talker.say("please book a table for two")
            call = await talker.until(FunctionCalled)
            assert (call.name, call.arguments) == ("book", {"table": 2})
            talker.session.answer("nobody called this", "nothing")
            talker.session.answer(call.id, "table seventeen")
            assert "table" in await talker.reply()
            talker.session.answer(call.id, "answered twice")
            talker.say("hello there")
            await talker.reply()

    play(entry, scene)


@pytest.mark.parametrize("how", Injection)
def test_a_line_is_spoken_when_nobody_speaks(entry: Entry, how: Injection) -> None:
    async def scene(stage: Stage) -> None:
        needs(stage, how)
        async with talk(stage) as talker:
            line = talker.session.inject(LINE, how)
            assert await talker.reply() == LINE
            assert talker.replies[0][0] == ReplyStarted(line)
            assert talker.replies[0][-1] == ReplyEnded(cut=False)
            assert sound(talker.replies[0])

    play(entry, scene)


def test_a_line_waits_for_what_is_being_said(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        needs(stage, Injection.QUEUE)
        stage.slow()
        async with talk(stage) as talker:
            talker.say(LONG)
            await talker.until(ReplyStarted)
            line = talker.session.inject(LINE, Injection.QUEUE)
            talker.push([QUIET] * 100)
            await talker.until(ReplyEnded)
            assert await talker.reply() == LINE
            first, second = talker.replies
            assert (first[-1], second[0]) == (ReplyEnded(cut=False), ReplyStarted(line))
            assert sound(second)

    play(entry, scene)


def test_a_line_can_cut_what_is_being_said(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        needs(stage, Injection.NOW)
        stage.slow()
        async with talk(stage) as talker:
            talker.say(LONG)
            await talker.until(ReplyStarted)
            line = talker.session.inject(LINE, Injection.NOW)
            await talker.until(ReplyStarted)
            talker.push([QUIET] * 30)
            await talker.until(ReplyEnded)
            assert talker.replies[1][0] == ReplyStarted(line)
            assert said(talker.replies[1]) == LINE

    play(entry, scene)


def test_a_line_is_refused_while_it_speaks(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        needs(stage, Injection.IDLE)
        stage.slow()
        async with talk(stage) as talker:
            talker.say(LONG)
            await talker.until(ReplyStarted)
            lines = [talker.session.inject(f"{LINE} {number}", Injection.IDLE) for number in ("one", "two")]
            assert [(await talker.until(Refused)).line for _ in lines] == lines
            talker.push([QUIET] * 60)
            await talker.until(ReplyEnded)

    play(entry, scene)


def test_the_caller_cuts_what_is_being_said(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        stage.slow()
        async with talk(stage) as talker:
            talker.say(LONG)
            await talker.until(ReplyStarted)
            talker.say("stop")
            assert (await talker.until(ReplyEnded)).cut
            assert any(isinstance(event, CallerStarted) for event in talker.told[-2:])
            talker.push([QUIET] * 30)
            assert "you said stop" in await talker.reply()

    play(entry, scene)


def test_we_cut_what_is_being_said(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        async with talk(stage) as talker:
            talker.say(LONG)
            await talker.until(ReplyAudio)
            talker.session.cut("you said")
            talker.session.cut()
            ended = await talker.until(ReplyEnded)
            talker.say("hello there")
            assert "you said hello there" in await talker.reply()
            assert ended.cut or stage.pace  # a real service may have sent all of it
            assert len(talker.replies) == 2

    play(entry, scene)


def test_instructions_count_from_the_next_reply_on(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        async with talk(stage) as talker:
            talker.say("hello there")
            assert "you said hello there" in await talker.reply()
            talker.session.instruct(Instructions(stage.prompts["other"], [BOOK]))
            talker.say("hello there")
            assert "he said hello there" in await talker.reply()

    play(entry, scene)


def test_a_lost_connection_is_an_error(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        if stage.lose is None:
            pytest.skip("nobody can break its connection")
        async with talk(stage) as talker:
            talker.say("hello there")
            await talker.reply()
            await stage.lose()
            with pytest.raises(ProviderError) as lost:
                await talker.until(ReplyStarted)
            assert lost.value.provider == stage.model.name
            assert lost.value.transient
            talker.push([QUIET])
            talker.session.cut()
            talker.session.answer("x", "y")
            with pytest.raises(ProviderError):
                await anext(aiter(talker.session))

    play(entry, scene)


def test_closing_ends_it_without_a_trace(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        await stage.model.prepare()
        before = asyncio.all_tasks()
        session = await stage.model.open(Instructions(stage.prompts["echo"]))
        talker = Talker(stage, session)
        waiting = asyncio.create_task(talker.until(ReplyStarted))
        await asyncio.sleep(0)
        await session.aclose()
        await session.aclose()
        with pytest.raises(StopAsyncIteration):
            await waiting
        talker.push([QUIET])
        left = asyncio.all_tasks() - before - {waiting}
        if left:  # those of a fake's, which sees it go
            assert not (await asyncio.wait(left, timeout=5.0))[1]

    play(entry, scene)


def test_sessions_do_not_meet(entry: Entry) -> None:
    async def scene(stage: Stage) -> None:
        async with talk(stage) as one, talk(stage, "other") as two:
            one.say("hello there")
            two.say("good morning")
            assert "you said hello there" in await one.reply()
            assert "he said good morning" in await two.reply()

    play(entry, scene)
