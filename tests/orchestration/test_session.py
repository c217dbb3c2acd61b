"""A room's talk over live legs: who comes and goes, what ends it, and that what goes wrong in it stays in it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

import pytest

from delivery import LedgerError, Status, WaitForIdle
from delivery.desk import Refuse
from delivery.ledger import Move
from delivery.memory import MemoryLedger
from orchestration import Agent, HookContext, HookEvent, HookExecution, HookTrigger, RoomError, Runtime, Supervisor
from orchestration.models.scripted import Intent, Scripted
from orchestration.room import Room
from orchestration.rooms import LAST_WORDS
from orchestration.session import LINGER
from orchestration.state import get_conversation_state, set_conversation_state
from orchestration.store.memory import MemoryRoomStore
from orchestration.workers import Context, worker
from tests.orchestration.models.double import Double, calls
from tests.orchestration.post import Office, opened
from tests.orchestration.post import play as written
from tests.voice.doubles import FakeLeg, Recognizer, Synthesizer, Vad
from voice.cascade import CascadeChannel
from voice.clock import now, run
from voice.events import Turn
from voice.leg import Leg
from voice.simulated import SimulatedChannel

STORY = "one two three four five six seven eight nine ten eleven twelve."
"""Twelve words of 0.3 s."""


@worker(role="Analyst")
async def analyst(topic: str, context: Context) -> str:
    await asyncio.sleep(5)
    return f"{topic} float."


def host(greeting: str = "") -> Supervisor:
    brain = Scripted([Intent(["hello"], "good day."), Intent(["tell"], STORY)], fallback=("pardon.",))
    return Supervisor(Agent("host", model=brain, greeting=greeting), [analyst])


class Channel(CascadeChannel):
    """The real thing over test providers; `fails` says what of it does not work."""

    def __init__(self, fails: str = "", opens_in: float = 0.0) -> None:
        super().__init__(stt=Recognizer(), tts=Synthesizer(), vad=Vad())
        self.fails, self.opens_in = fails, opens_in

    async def __aenter__(self) -> Self:
        await asyncio.sleep(self.opens_in)
        if self.fails == "open":
            raise OSError("no microphone")
        return await super().__aenter__()

    async def serve(self, leg: Leg) -> None:
        if self.fails == leg.caller.name:
            raise OSError("this line is dead")
        await super().serve(leg)

    async def turns(self) -> AsyncIterator[Turn]:
        async for turn in super().turns():
            if self.fails == "turns":
                raise OSError("a bug")
            if self.fails == "end":
                return
            yield turn


@dataclass
class House:
    """An open runtime and the callers in it. `fails` is taken by each channel that is made."""

    runtime: Runtime
    group: asyncio.TaskGroup
    calls: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def join(self, name: str = "ann", room: str = "lobby") -> FakeLeg:
        leg = FakeLeg(name)

        async def call() -> None:
            try:
                await self.runtime.join(room, leg)
            except (RoomError, OSError) as error:
                failures[name] = error

        failures.pop(name, None)
        self.calls[name] = self.group.create_task(call())
        await asyncio.sleep(0.01)
        return leg

    def callers(self, room: str = "lobby") -> set[str]:
        session = self.runtime.session(room)
        return set(session.channel.callers) if session and session.opened.done() else set()


failures: dict[str, Exception] = {}
fails: list[str] = []


@pytest.fixture(autouse=True)
def nothing_fails() -> None:
    fails.clear()
    failures.clear()


def made(**parts: Any) -> Runtime:
    def channels(room: Room) -> Channel:
        if "factory" in fails:
            raise OSError("no engine")
        return Channel(next(iter(fails), ""))

    return Runtime(**{"orchestration": host(), "state": None, "channels": channels, **parts})


def play(script: Callable[[House], Awaitable[None]], runtime: Runtime | None = None) -> None:
    async def main() -> None:
        async with asyncio.timeout(10_000), asyncio.TaskGroup() as group, runtime or made() as opened:
            await script(House(opened, group))

    run(main())


# -- coming and going


def test_a_caller_is_greeted_heard_and_answered_until_they_hang_up() -> None:
    async def script(house: House) -> None:
        ann = await house.join()
        assert house.callers() == {"ann"}
        await asyncio.sleep(2)
        assert ann.text == "welcome"
        await ann.say("hello", 3)
        assert ann.text == "welcome good day."
        ann.end(hung_up=True)
        await house.calls["ann"]
        assert house.callers() == set()
        assert failures == {}
        kinds = {kind for kind, _ in ann.panel}
        assert {"caller", "floor", "utterance", "speaking", "heard", "words", "turn"} <= kinds

    play(script, made(orchestration=host(greeting="welcome")))


def test_a_room_lingers_for_who_comes_back_and_then_goes() -> None:
    async def script(house: House) -> None:
        ann = await house.join()
        first = house.runtime.session("lobby")
        ann.end(hung_up=True)
        await house.calls["ann"]
        await asyncio.sleep(LINGER - 1)
        ann = await house.join()
        assert house.runtime.session("lobby") is first
        await asyncio.sleep(10 * LINGER)
        assert house.runtime.session("lobby") is first
        ann.end(hung_up=True)
        await asyncio.sleep(LINGER + 0.1)
        assert house.runtime.session("lobby") is None
        with pytest.raises(RoomError, match="there is no room 'lobby'"):
            house.runtime.room("lobby")
        await house.join()
        assert house.callers() == {"ann"}
        assert house.runtime.session("lobby") is not first

    play(script)


def test_a_room_that_was_made_stays_when_its_talk_is_over() -> None:
    async def script(house: House) -> None:
        room = await house.runtime.create_room("lobby")
        (await house.join()).end(hung_up=True)
        await asyncio.sleep(LINGER + 1)
        assert house.runtime.session("lobby") is None
        assert house.runtime.room("lobby") is room
        await house.join()
        session = house.runtime.session("lobby")
        assert session is not None
        assert session.room is room

    play(script)


def test_a_room_without_callers_from_the_start_goes_too() -> None:
    async def script(house: House) -> None:
        await house.runtime.enter("lobby")
        await asyncio.sleep(LINGER + 1)
        assert house.runtime.session("lobby") is None

    play(script)


def test_who_is_cancelled_has_left_and_the_others_stay() -> None:
    async def script(house: House) -> None:
        await house.join()
        await house.join("bob")
        house.calls["bob"].cancel()
        await asyncio.wait([house.calls["bob"]])
        assert house.callers() == {"ann"}
        assert house.calls["bob"].cancelled()
        assert not house.calls["ann"].done()

    play(script)


# -- ending


def test_closing_a_room_hangs_up_on_its_callers_and_on_nobody_else() -> None:
    async def script(house: House) -> None:
        await house.join()
        await house.join("bob")
        await house.join("cem", room="attic")
        await house.runtime.close_room("lobby")
        assert house.runtime.session("lobby") is None
        await asyncio.wait([house.calls["ann"], house.calls["bob"]])
        assert failures == {}
        assert house.callers("attic") == {"cem"}
        await house.join()
        assert house.callers() == {"ann"}

    play(script)


def test_closing_in_mid_sentence_notes_what_was_heard_and_owes_the_rest() -> None:
    ledger = MemoryLedger()

    async def main() -> None:
        async with asyncio.TaskGroup() as group, made(ledger=ledger) as runtime:
            house = House(runtime, group)
            ann = await house.join()
            await runtime.deliver("lobby", STORY, strategy=WaitForIdle(buffer=0.0))
            while ann.text.count(" ") < 4:
                await asyncio.sleep(0.1)
        assert now() < 10
        await ledger.open()
        (entry,) = await ledger.entries("lobby")
        assert entry.status is Status.QUEUED
        assert STORY[: entry.heard_chars] == "one two three four five"
        assert entry.attempts == 0

    run(main())


def test_what_is_owed_is_told_to_who_comes_back_from_the_last_word_on() -> None:
    async def script(house: House) -> None:
        ann = await house.join()
        receipt = await house.runtime.deliver("lobby", STORY, strategy=WaitForIdle(buffer=0.0))
        while ann.text.count(" ") < 4:
            await asyncio.sleep(0.1)
        await house.runtime.close_room("lobby")
        await house.calls["ann"]
        back = await house.join()
        assert (await receipt).status is Status.HEARD
        assert back.text.endswith("six seven eight nine ten eleven twelve.")
        assert "five" not in back.text

    play(script)


def test_a_reply_in_the_making_does_not_keep_a_room_open() -> None:
    class Slow(Scripted):
        async def stream(self, *messages: Any, **more: Any) -> Any:
            await asyncio.sleep(1000)
            yield

    async def script(house: House) -> None:
        ann = await house.join()
        await ann.say("hello", 2)
        closing = now()
        await house.runtime.close_room("lobby")
        assert now() == closing

    play(script, made(orchestration=Supervisor(Agent("host", model=Slow([Intent(["hello"])])), [analyst])))


def test_a_reply_does_not_set_to_work_while_its_room_closes() -> None:
    begun: list[float] = []

    async def stubborn() -> str:
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(3)
        return "never"

    async def work() -> str:
        begun.append(now())
        await asyncio.sleep(1000)
        return "never"

    async def script(house: House) -> None:
        session = await house.runtime.enter("lobby")
        assert isinstance(session.channel, SimulatedChannel)
        ann = session.channel.join("ann")
        for _ in range(2):
            await ann.say("hello")
            await asyncio.sleep(1)
        closing = now()
        await house.runtime.close_room("lobby")
        assert now() == closing + 3
        assert begun == []

    agent = Agent("host", model=Double([[calls("stubborn")], [2.0, calls("work")]]), tools=[stubborn, work])
    play(script, made(orchestration=Supervisor(agent, [analyst]), channels=lambda _: SimulatedChannel()))


def test_another_process_that_takes_the_room_ends_its_talk_here(caplog: pytest.LogCaptureFixture) -> None:
    async def script(house: House) -> None:
        await house.join()
        epoch = await house.runtime.ledger.take_room("lobby", "another")
        receipt = await house.runtime.deliver("lobby", "the boat is here.")
        await asyncio.wait([house.calls["ann"]])
        assert await receipt.status() is Status.QUEUED
        assert "was taken over" in caplog.text
        await house.runtime.ledger.move("lobby", epoch, [Move(receipt.id, Status.CANCELLED)])

    play(script)


def test_a_caller_who_comes_as_the_talk_ends_is_in_the_next_one() -> None:
    async def script(house: House) -> None:
        session = await house.runtime.enter("lobby")
        session.close()
        assert not await session.serve(FakeLeg("ann"))
        await house.join()
        assert house.callers() == {"ann"}
        assert house.runtime.session("lobby") is not session

    play(script)


def test_a_ledger_that_is_away_does_not_keep_the_runtime_from_closing(caplog: pytest.LogCaptureFixture) -> None:
    class Ledger(MemoryLedger):
        away = False

        async def move(self, *given: Any) -> None:
            if self.away:
                raise LedgerError("the disk is full")
            await super().move(*given)

    async def main() -> None:
        ledger = Ledger()
        async with asyncio.TaskGroup() as group, made(ledger=ledger) as runtime:
            house = House(runtime, group)
            ann = await house.join()
            await runtime.deliver("lobby", STORY, strategy=WaitForIdle(buffer=0.0))
            while ann.text.count(" ") < 4:
                await asyncio.sleep(0.1)
            ledger.away = True
            closing = now()
        assert now() - closing <= LAST_WORDS + 1
        assert ledger._loop is None

    run(main())


def test_a_room_that_does_not_close_is_broken_off(caplog: pytest.LogCaptureFixture) -> None:
    class Stuck(Channel):
        async def __aexit__(self, *error: Any) -> None:
            await super().__aexit__(*error)
            await asyncio.sleep(1000)

    async def main() -> None:
        async with made(channels=lambda _: Stuck()) as runtime:
            await runtime.enter("lobby")
        assert now() == LAST_WORDS

    run(main())
    assert "room lobby did not close within 15 s and is broken off" in caplog.text


def test_a_channel_that_has_no_more_turns_ends_the_talk() -> None:
    fails.append("end")

    async def script(house: House) -> None:
        ann = await house.join()
        await ann.say("hello", 2)
        await asyncio.wait([house.calls["ann"]])
        assert house.runtime.session("lobby") is None
        assert failures == {}

    play(script)


@pytest.mark.parametrize("said", ["delivery", "reply"])
def test_closing_does_not_wait_for_the_end_of_what_is_said(said: str) -> None:
    async def script(house: House) -> None:
        session = await house.runtime.enter("lobby")
        assert isinstance(session.channel, SimulatedChannel)
        ann = session.channel.join("ann")
        receipt = await house.runtime.deliver("lobby", STORY, strategy="immediate" if said == "delivery" else None)
        if said == "reply":
            await ann.say("tell")
        await ann.hears("five")
        closing = now()
        await house.runtime.close_room("lobby")
        assert now() == closing
        assert not (await receipt.status()).terminal
        assert ann.lines[-1].heard.endswith("five")

    play(script, made(channels=lambda _: SimulatedChannel()))


# -- what goes wrong


@pytest.mark.parametrize("part", ["factory", "open"])
def test_a_room_that_cannot_be_opened_says_why_and_harms_nobody(part: str, caplog: pytest.LogCaptureFixture) -> None:
    async def script(house: House) -> None:
        await house.join("cem", room="attic")
        fails.append(part)
        entering = [asyncio.create_task(house.runtime.enter("lobby")) for _ in range(3)]
        await asyncio.wait(entering)
        for each in entering:
            error = each.exception()
            assert isinstance(error, RoomError)
            assert str(error).startswith("room 'lobby' cannot be opened: no ")
        await house.join()
        assert isinstance(failures["ann"], RoomError)
        assert house.runtime.session("lobby") is None
        assert house.callers("attic") == {"cem"}
        fails.clear()
        await house.join()
        assert house.callers() == {"ann"}

    play(script)
    assert "room lobby: its talk broke off" in caplog.text


def test_a_ledger_that_is_away_opens_no_room() -> None:
    class Ledger(MemoryLedger):
        async def take_room(self, room: str, owner: str) -> int:
            if room == "lobby":
                raise LedgerError("the disk is full")
            return await super().take_room(room, owner)

    async def script(house: House) -> None:
        with pytest.raises(RoomError, match="room 'lobby' cannot be opened: the disk is full"):
            await house.runtime.enter("lobby")
        await house.runtime.enter("attic")

    play(script, made(ledger=Ledger()))


def test_who_waits_for_a_room_that_is_closed_meanwhile_is_in_the_next_one() -> None:
    async def script(house: House) -> None:
        entering = asyncio.create_task(house.runtime.enter("lobby"))
        await asyncio.sleep(1)
        first = house.runtime.session("lobby")
        await house.runtime.close_room("lobby")
        assert house.runtime.session("lobby") is not first
        assert now() == 5.0
        session = await entering
        assert session is house.runtime.session("lobby")
        assert not session.closing
        assert now() == 10.0

    play(script, made(channels=lambda _: Channel(opens_in=5)))


def test_who_gives_up_waiting_for_a_room_disturbs_nobody() -> None:
    async def script(house: House) -> None:
        first = asyncio.create_task(house.runtime.enter("lobby"))
        second = asyncio.create_task(house.runtime.enter("lobby"))
        await asyncio.sleep(1)
        first.cancel()
        assert (await second).opened.done()
        assert first.cancelled()

    play(script, made(channels=lambda _: Channel(opens_in=5)))


def test_a_leg_that_fails_is_its_callers_alone() -> None:
    fails.append("bob")

    async def script(house: House) -> None:
        ann = await house.join()
        await house.join("bob")
        assert isinstance(failures["bob"], OSError)
        assert house.callers() == {"ann"}
        await ann.say("hello", 3)
        assert ann.text == "good day."

    play(script)


def test_a_talk_that_breaks_off_lets_everybody_go_and_can_begin_anew(caplog: pytest.LogCaptureFixture) -> None:
    fails.append("turns")

    async def script(house: House) -> None:
        ann = await house.join()
        await house.join("cem", room="attic")
        await ann.say("hello", 2)
        await asyncio.wait([house.calls["ann"]])
        assert house.runtime.session("lobby") is None
        assert house.callers("attic") == {"cem"}
        assert "room lobby: its talk broke off" in caplog.text
        fails.clear()
        ann = await house.join()
        await ann.say("hello", 3)
        assert ann.text == "good day."

    play(script)


def test_a_panel_that_fails_at_a_leg_is_its_callers_alone() -> None:
    class Mute(FakeLeg):
        def send_panel(self, kind: str, payload: Any) -> None:
            raise OSError("the page is gone")

    async def script(house: House) -> None:
        ann = await house.join()
        house.calls["bob"] = house.group.create_task(house.runtime.join("lobby", Mute("bob")))
        await asyncio.sleep(0.01)
        await house.runtime.delegate("lobby", "analyst", "boats")
        await ann.say("hello", 3)
        assert ann.text == "good day."
        await asyncio.sleep(5)
        assert len(await house.runtime.ledger.entries("lobby", list(Status))) == 1

    play(script)


# -- hooks


def test_a_turn_may_be_rewritten_or_ignored() -> None:
    runtime = made()
    seen: list[tuple[str, Any]] = []

    @runtime.hook(HookTrigger.ON_TRANSCRIPTION, execution=HookExecution.SYNC)
    def rewrite(event: HookEvent, context: HookContext) -> str:
        seen.append((event.text, event.metadata))
        if event.text == "television":
            raise Refuse("not for us")
        return "hello"

    async def script(house: House) -> None:
        ann = await house.join()
        await ann.say("television", 3)
        assert ann.text == ""
        session = house.runtime.session("lobby")
        assert session is not None
        assert session.channel.floor.open
        await ann.say("whatever", 3)
        assert ann.text == "good day."
        assert seen == [("television", {"caller": "ann", "confidence": 1.0}), ("whatever", seen[1][1])]

    play(script, runtime)


def test_what_a_producer_notes_does_not_hide_what_hooks_are_told() -> None:
    runtime = made()
    seen: list[Any] = []
    runtime.hook(HookTrigger.BEFORE_DELIVER)(lambda event, context: seen.append(event.metadata))

    async def script(house: House) -> None:
        await house.join()
        notes = {"strategy": "mine", "to": "nobody", "from": "harbour"}
        await (await house.runtime.deliver("lobby", "the boat is here.", metadata=notes))
        assert seen == [{"strategy": "wait_for_idle", "to": None, "from": "harbour"}]

    play(script, runtime)


# -- the panel


def test_who_comes_late_sees_the_work_that_runs() -> None:
    async def script(house: House) -> None:
        task = await house.runtime.delegate("lobby", "analyst", "boats")
        await asyncio.sleep(1)
        ann = await house.join()
        session = house.runtime.session("lobby")
        assert session is not None
        (row,) = session.shown.panel.snapshot(now())["tasks"]
        assert (row["id"], row["label"], row["status"]) == (task.id, "boats", "running")
        await asyncio.sleep(5)
        news = [payload for kind, payload in ann.panel if kind == "task" and payload["id"] == task.id]
        assert [n["status"] for n in news] == ["done"]

    play(script)


def test_callers_go_by_their_names_on_the_page() -> None:
    async def script(house: House) -> None:
        await house.join()
        session = house.runtime.session("lobby")
        assert session is not None
        assert [(c["id"], c["name"]) for c in session.shown.panel.snapshot(now())["callers"]] == [("ann", "ann")]

    play(script)


def test_many_rooms_that_fail_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    fails.append("open")

    async def script(house: House) -> None:
        before = len(asyncio.all_tasks())
        for number in range(50):
            with pytest.raises(RoomError):
                await house.runtime.enter(f"room {number}")
        assert house.runtime._rooms.names == frozenset()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) <= before

    play(script)


def test_who_wrote_before_a_restart_is_reached_after_it() -> None:
    parts: dict[str, Any] = {"ledger": MemoryLedger(), "store": MemoryRoomStore()}

    async def before(office: Office) -> None:
        await office.reader("sms")
        await office.write(sender="ann", channel="sms")
        await office.write(sender="bob", channel="sms")

    async def after(office: Office) -> None:
        ws, sms = await office.reader("ws"), await office.reader("sms")
        owed = await office.runtime.deliver("lobby", "Boats float.", to="ann")
        assert (await owed).status is Status.HEARD
        assert (ws.texts, sms.texts) == ([], ["Boats float."])

    written(before, opened(**parts))
    written(after, opened(**parts))


@pytest.mark.parametrize("among_voices", [False, True])
def test_who_wrote_before_voices_came_or_among_them_is_reached_when_they_have_gone(among_voices: bool) -> None:
    async def script(office: Office) -> None:
        sms = await office.reader("sms")
        if not among_voices:
            await office.write(sender="ann", channel="sms")
        session = await office.runtime.enter("lobby")
        assert isinstance(session.channel, SimulatedChannel)
        vera = session.channel.join("vera")
        if among_voices:
            await office.write(sender="ann", channel="sms")
        owed = await office.runtime.deliver("lobby", "Boats float.", to="ann")
        await asyncio.sleep(10)
        assert await owed.status() is Status.QUEUED
        vera.hang_up()
        assert (await owed).status is Status.HEARD
        assert sms.texts[-1] == "Boats float."

    written(script, opened(channels=lambda room: SimulatedChannel()))


def test_what_was_told_while_no_agent_was_there_is_remembered_after_a_restart() -> None:
    parts: dict[str, Any] = {"ledger": MemoryLedger(), "store": MemoryRoomStore()}

    async def before(office: Office) -> None:
        await office.reader()
        room = office.runtime.room("lobby")
        state = get_conversation_state(room).transition("handling", "host").transition("escalation", None)
        await office.runtime.store.update_room(set_conversation_state(room, state))
        assert (await (await office.runtime.deliver("lobby", "Boats float."))).status is Status.HEARD

    async def after(office: Office) -> None:
        room = office.runtime.room("lobby")
        assert [m.text for m in room.memory.messages(room.agents["host"])] == ["Boats float."]

    written(before, opened(**parts))
    written(after, opened(**parts))
