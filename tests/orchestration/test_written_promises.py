"""Whatever people write, and however their channels stumble: every message is answered once or refused, every result
is written once to whom it is for, and nothing to strangers."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from delivery import Status
from orchestration import Agent, RoomError, Runtime
from orchestration.event import RoomEvent
from orchestration.inbound import InboundResult
from orchestration.models.model import TextDelta
from orchestration.models.model import ToolCall as Call
from tests.orchestration.post import Office, Reader, Talks, play
from voice.channel import APOLOGY
from voice.simulated import SimulatedChannel

PEOPLE = ("ann", "bob", "cem")
CHANNELS = ("ws", "sms", "gate")
"""The last one brings messages only."""


class Model:
    """Says again what was asked, after what its words ask for."""

    name = "odd"

    async def stream(self, messages: Any, *, prompt: str = "", tools: Any = ()) -> Any:
        asked = messages[-1].text
        if "slow" in asked:
            await asyncio.sleep(3)
        if "fail" in asked:
            raise OSError("no network")
        if "tool" in asked and messages[-1].role == "user":
            yield Call("c", "work", {})
            return
        yield TextDelta(f"re {asked}" if messages[-1].role == "user" else "worked")


async def work() -> str:
    """A tool."""
    await asyncio.sleep(1)
    return "done"


@dataclass(frozen=True)
class Write:
    sender: str
    channel: str
    kind: str


@dataclass(frozen=True)
class Deliver:
    to: str | None
    strategy: str


@dataclass(frozen=True)
class Stumble:
    channel: str
    mood: tuple[float | OSError, ...]


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Voices:
    """Somebody is heard for so long."""

    seconds: float


MOODS = st.one_of(st.just(OSError("gone")), st.sampled_from([0.5, 3.0]))
STEPS = st.one_of(
    st.builds(
        Write, st.sampled_from(PEOPLE), st.sampled_from(CHANNELS), st.sampled_from(["", "", "slow", "fail", "tool"])
    ),
    st.builds(Deliver, st.sampled_from([None, *PEOPLE]), st.sampled_from(["wait_for_idle", "queued", "immediate"])),
    st.builds(Stumble, st.sampled_from(CHANNELS[:2]), st.lists(MOODS, max_size=2).map(tuple)),
    st.builds(Wait, st.sampled_from([0.01, 1.0, 5.0])),
)


async def carry_out(office: Office, steps: list[Any]) -> None:
    readers = {id: await office.reader(id) for id in CHANNELS[:2]}
    await office.mute("gate")
    asked: list[tuple[str, asyncio.Task[InboundResult]]] = []
    owed: list[tuple[str, str | None, Any]] = []
    reach: dict[str, set[str]] = {}
    for number, step in enumerate(steps):
        match step:
            case Write(sender, channel, kind):
                text = f"m{number} {kind}".strip()
                asked.append((text, office.begin(text, sender, channel)))
                if channel in readers:
                    reach.setdefault(sender, set()).add(channel)
            case Deliver(to, strategy):
                text = f"d{number}."
                owed.append((text, to, await office.runtime.deliver("lobby", text, to=to, strategy=strategy)))
            case Stumble(channel, mood):
                readers[channel].mood += mood
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Voices(seconds):
                session = await office.runtime.enter("lobby")
                assert isinstance(session.channel, SimulatedChannel)
                vera = session.channel.join("vera")
                await asyncio.sleep(seconds)
                vera.hang_up()
    answers = {text: await task for text, task in asked}
    await asyncio.sleep(400)
    for reader in readers.values():
        reader.mood.clear()
    seen = Counter((reader.id, event.id) for reader in readers.values() for event in reader.got)
    assert not [each for each, times in seen.items() if times > 1]
    _answered(answers, readers)
    await _delivered(owed, readers, reach)


def _answered(answers: dict[str, InboundResult], readers: dict[str, Reader]) -> None:
    said = [event for reader in readers.values() for event in reader.got]
    for text, result in answers.items():
        assert result.event is not None
        assert result.event.text == text
        if result.reply is not None:
            words = {"fail": APOLOGY, "tool": "worked"}.get(text.partition(" ")[2], f"re {text}")
            assert result.reply.text == words
    ids = {result.reply.id for result in answers.values() if result.reply}
    assert len(ids) == sum(1 for result in answers.values() if result.reply)
    mine = {event.id for event in said if event.sender_id == "host" and "deliveries" not in event.metadata}
    assert mine <= ids


async def _delivered(owed: list[Any], readers: dict[str, Reader], reach: dict[str, set[str]]) -> None:
    for text, to, receipt in owed:
        told = [(reader.id, event) for reader in readers.values() for event in reader.got if _tells(event, text)]
        status = await receipt.status()
        assert len({event.id for _, event in told}) == (status is Status.HEARD)
        assert status in (Status.HEARD, Status.DEAD, Status.QUEUED)
        if status is Status.QUEUED:
            assert to not in (None, *reach)
        if to is not None:
            assert {id for id, _ in told} <= reach.get(to, set())
            assert len(told) <= 1


def _tells(event: RoomEvent, text: str) -> bool:
    return "deliveries" in event.metadata and text in event.text.split()


def runtime() -> Runtime:
    talks = Talks(Agent("host", model=Model()), tools=[work])
    return Runtime(orchestration=talks, state=None, channels=lambda room: SimulatedChannel())


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=14))
def test_every_message_is_answered_once_and_every_result_is_written_once(steps: list[Any]) -> None:
    play(lambda office: carry_out(office, steps), runtime())


@settings(max_examples=40)
@given(st.lists(st.one_of(STEPS, st.builds(Voices, st.sampled_from([0.0, 2.0, 80.0]))), max_size=10))
def test_whatever_voices_come_and_go_no_message_is_lost(steps: list[Any]) -> None:
    async def script(office: Office) -> None:
        for id in CHANNELS[:2]:
            await office.reader(id)
        await office.mute("gate")
        asked = []
        for number, step in enumerate(steps):
            match step:
                case Write(sender, channel, kind):
                    asked.append((f"m{number} {kind}".strip(), office.begin(f"m{number} {kind}", sender, channel)))
                case Deliver(to, strategy):
                    await office.runtime.deliver("lobby", f"d{number}.", to=to, strategy=strategy)
                case Wait(seconds):
                    await asyncio.sleep(seconds)
                case Voices(seconds):
                    session = await office.runtime.enter("lobby")
                    assert isinstance(session.channel, SimulatedChannel)
                    vera = session.channel.join(f"vera {number}")
                    await asyncio.sleep(seconds)
                    vera.hang_up()
        for text, task in asked:
            result = await task
            assert result.event is not None
            assert result.event.text.strip() == text
        timeline = [event.text.strip() for event in await office.runtime.store.timeline("lobby", 500)]
        said = Counter(text for text in timeline if text.startswith("m"))
        assert said == Counter(text for text, _ in asked)

    play(script, runtime())


class Hands:
    """Does what it is told to a room, whatever state that is in."""

    def __init__(self, office: Office) -> None:
        self.office, self.runtime = office, office.runtime
        self.voices: list[Any] = []
        self.acts = {
            "write": lambda: office.write("slow"),
            "close": lambda: self.runtime.close_room("lobby"),
            "create": lambda: self.runtime.create_room("lobby"),
            "attach": lambda: self.runtime.attach_channel("lobby", Reader().channel),
            "detach": lambda: self.runtime.detach_channel("lobby", "ws"),
            "deliver": lambda: self.runtime.deliver("lobby", "boats float."),
            "voice": self.voice,
            "hang up": self.hang_up,
        }

    async def voice(self) -> None:
        session = await self.runtime.enter("lobby")
        assert isinstance(session.channel, SimulatedChannel)
        if not session.closing:
            self.voices.append(session.channel.join(f"v{len(self.voices)}"))

    async def hang_up(self) -> None:
        if self.voices:
            self.voices.pop().hang_up()

    async def act(self, what: str) -> None:
        with suppress(RoomError, ValueError):
            await self.acts[what]()


ACTS = ("write", "write", "close", "create", "attach", "detach", "voice", "hang up", "deliver")
LIVES = st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from([0.0, 0.0, 0.3, 70.0]), st.booleans()), max_size=14)


@settings(max_examples=60)
@given(LIVES)
def test_whatever_rooms_are_made_and_ended_nothing_hangs_and_errors_are_room_errors(acts: list[Any]) -> None:
    """Also when those who asked for it give up."""

    async def script(office: Office) -> None:
        runtime, hands = office.runtime, Hands(office)
        async with asyncio.TaskGroup() as group:
            for what, pause, given_up in acts:
                task = group.create_task(hands.act(what))
                await asyncio.sleep(pause)
                if given_up:
                    task.cancel()
        await asyncio.sleep(100)  # what was given up is answered all the same
        await runtime.close_room("lobby")
        assert runtime.session("lobby") is None
        assert await runtime.store.list_rooms() == []
        assert await runtime.store.timeline("lobby") == []
        assert (runtime._rooms.inbox._tasks, runtime._rooms.inbox._last) == (set(), {})
        await runtime.create_room("lobby")
        await runtime.attach_channel("lobby", Reader().channel)
        assert (await office.write("hello")).reply is not None

    play(script, runtime())
