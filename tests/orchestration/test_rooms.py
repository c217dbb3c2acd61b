"""Voices come into a room of people who write, and go again: nothing that was said, asked or owed is lost."""

from __future__ import annotations

import asyncio

import pytest

from delivery import Status
from delivery.desk import Refuse
from orchestration import HookContext, HookExecution, HookTrigger, RoomError, Runtime
from orchestration.event import RoomEvent
from orchestration.inbox import MAX_TALKS
from orchestration.models.model import Role
from orchestration.rooms import AGAIN
from orchestration.session import GIVE_WAY, LINGER
from tests.orchestration.models.double import Double, calls
from tests.orchestration.post import Office, play, reply, talks
from voice.channel import APOLOGY
from voice.clock import now
from voice.simulated import SimulatedChannel
from voice.simulated_caller import SimulatedCaller


def made(*replies: list[object]) -> tuple[Runtime, Double]:
    orchestration, model = talks(*replies or (["fine."],))  # type: ignore[arg-type]
    return Runtime(orchestration=orchestration, state=None, channels=lambda room: SimulatedChannel()), model


async def voice(office: Office, name: str = "vera") -> SimulatedCaller:
    """A caller who is heard."""
    session = await office.runtime.enter("lobby")
    assert isinstance(session.channel, SimulatedChannel)
    return session.channel.join(name)


def said(model: Double) -> list[str]:
    return [m.text for m in model.asked[-1].messages]


def test_the_memory_goes_on_when_voices_come_and_when_they_have_gone() -> None:
    runtime, model = made(["one."], ["two."], ["three."])

    async def script(office: Office) -> None:
        ws = await office.reader()
        await office.write("a")
        vera = await voice(office)
        await vera.say("b")
        await asyncio.sleep(5)
        vera.hang_up()
        await asyncio.sleep(LINGER + 5)
        session = office.runtime.session("lobby")
        assert session is not None
        assert session.written
        await office.write("c")
        assert said(model) == ["a", "one.", "b", "two.", "c"]
        assert ws.texts == ["one.", "b", "two.", "three."]

    play(script, runtime)


def test_what_is_owed_to_readers_is_written_when_the_voices_have_gone() -> None:
    runtime, _ = made()

    async def script(office: Office) -> None:
        ws = await office.reader()
        await office.write(sender="ann")
        vera = await voice(office)
        receipt = await office.runtime.deliver("lobby", "boats float.", to="ws")
        await asyncio.sleep(30)
        assert await receipt.status() is Status.QUEUED
        vera.hang_up()
        assert (await receipt).status is Status.HEARD
        assert ws.texts == ["fine.", "boats float."]

    play(script, runtime)


def test_a_message_that_is_being_answered_when_voices_come_is_answered_all_the_same() -> None:
    runtime, model = made(["fine."], [5.0, "one."], [5.0, "one."], ["two."], ["three."])
    seen: list[str] = []

    @runtime.hook(HookTrigger.AFTER_BROADCAST)
    def look(event: RoomEvent, context: HookContext) -> None:
        seen.append(event.text)

    async def script(office: Office) -> None:
        ws = await office.reader()
        await office.write("hello")
        asking = [office.begin(text) for text in ("a", "b", "c")]
        await asyncio.sleep(1)
        await voice(office)
        assert [reply(await each) for each in asking] == ["one.", "two.", "three."]
        assert said(model) == ["hello", "fine.", "a", "one.", "b", "two.", "c"]
        await asyncio.sleep(1)
        assert ws.texts == ["fine.", "one.", "two.", "three."]
        assert seen == ["hello", "fine.", "a", "one.", "b", "two.", "c", "three."]

    play(script, runtime)


def test_a_message_into_a_room_of_voices_is_answered_aloud_and_shown() -> None:
    runtime, model = made(["one two three."], ["four."])

    async def script(office: Office) -> None:
        vera = await voice(office)
        ws, other = await office.reader(), await office.reader("other")
        result = await office.write("hello")
        assert reply(result) == "one two three."
        await vera.hears("three")
        await asyncio.sleep(1)
        assert (ws.texts, other.texts) == (["one two three."], ["hello", "one two three."])
        session = office.runtime.session("lobby")
        assert session is not None
        assert session.channel.floor.open
        await vera.say("and you")
        await asyncio.sleep(5)
        assert said(model) == ["hello", "one two three.", "and you"]
        assert ws.texts[-2:] == ["and you", "four."]

    play(script, runtime)


def test_messages_of_one_sender_do_not_cut_each_others_spoken_answers() -> None:
    runtime, _ = made(["one two three four five six."], ["seven."])

    async def script(office: Office) -> None:
        await voice(office)
        await office.reader()
        first, second = office.begin("a"), office.begin("b")
        result = await first
        assert reply(result) == "one two three four five six."
        assert result.reply is not None
        assert result.reply.metadata["complete"] is True
        assert reply(await second) == "seven."

    play(script, runtime)


def test_a_message_is_answered_whole_while_a_caller_speaks_or_cuts_in() -> None:
    runtime, _ = made(["one two three."], ["four."], ["five six seven eight nine."], ["ten."])

    async def script(office: Office) -> None:
        vera = await voice(office)
        ws = await office.reader()
        talking = asyncio.create_task(vera.say("it is a very long story that I want to tell you"))
        await asyncio.sleep(1)
        assert reply(await office.write("hello")) == "one two three."
        assert now() == 1.0
        await talking
        await asyncio.sleep(5)
        writing = office.begin("again")
        await asyncio.sleep(0.8)
        await vera.say("stop that now please")
        assert reply(await writing) == "five six seven eight nine."
        await asyncio.sleep(5)
        assert [text for text in ws.texts if text[-1] == "."] == [
            *("one two three.", "four.", "five six seven eight nine.", "ten.")
        ]
        assert vera.lines[-1].text == "ten."
        assert "nine" not in "".join(line.heard for line in vera.lines)

    play(script, runtime)


def test_voices_do_not_wait_for_what_is_written() -> None:
    runtime, _ = made([30.0, "one."], ["two."], ["three."])

    async def script(office: Office) -> None:
        vera = await voice(office)
        await office.reader()
        asking = [office.begin("a"), office.begin("b")]
        await asyncio.sleep(1)
        await vera.say("hello")
        line = await vera.hears("two.")
        assert line.ended is not None
        assert line.ended < 10
        assert [reply(await each) for each in asking] == ["one.", "three."]

    play(script, runtime)


def test_a_model_that_fails_among_voices_is_apologised_for_to_who_wrote() -> None:
    runtime, _ = made([OSError("no network")], ["well ", OSError("no network")], ["fine."])

    async def script(office: Office) -> None:
        await voice(office)
        await office.mute()
        for answer in (APOLOGY, f"well {APOLOGY}"):
            result = await office.write(channel="gate")
            assert reply(result).replace("  ", " ") == answer
            assert result.reply is not None
            assert result.reply.metadata["complete"] is False
        assert reply(await office.write(channel="gate")) == "fine."

    play(script, runtime)


def test_each_thing_that_is_said_among_voices_is_told_once() -> None:
    runtime, _ = made(["one."], ["two."])
    seen: list[str] = []

    @runtime.hook(HookTrigger.AFTER_BROADCAST)
    def look(event: RoomEvent, context: HookContext) -> None:
        seen.append(event.text)

    async def script(office: Office) -> None:
        vera = await voice(office)
        await office.reader()
        await office.write("a")
        await vera.say("b")
        await asyncio.sleep(5)
        await (await office.runtime.deliver("lobby", "boats float."))
        await asyncio.sleep(1)
        assert seen == ["a", "one.", "b", "two.", "boats float."]
        assert [e.text for e in await office.runtime.store.timeline("lobby")] == seen

    play(script, runtime)


def test_who_reads_only_comes_after_the_voices_and_all_who_wait_come_in() -> None:
    runtime, _ = made([3.0, "fine."])

    async def script(office: Office) -> None:
        await office.mute()
        callers = [asyncio.create_task(voice(office, f"v{n}")) for n in range(3)]
        asking = [office.begin(f"{n}", channel="gate") for n in range(3)]
        callers += [asyncio.create_task(voice(office, f"w{n}")) for n in range(3)]
        for each in asking:
            assert reply(await each) == "fine."
        await asyncio.wait(callers)
        session = office.runtime.session("lobby")
        assert session is not None
        assert set(session.channel.callers) == {"v0", "v1", "v2", "w0", "w1", "w2"}

    play(script, runtime)


def test_a_message_that_no_talk_answers_is_given_back() -> None:
    runtime, _ = made([3.0, "fine."])

    async def script(office: Office) -> None:
        await office.mute()
        asking = asyncio.create_task(office.write(channel="gate"))
        for _ in range(MAX_TALKS):
            await asyncio.sleep(0.1)
            session = office.runtime.session("lobby")
            assert session is not None
            session.close()
            await session.closed.wait()
        with pytest.raises(RoomError, match=f"its talk ended {MAX_TALKS} times before"):
            await asking
        assert reply(await office.write(channel="gate")) == "fine."
        timeline = await office.runtime.store.timeline("lobby")
        assert [e.text for e in timeline] == ["hello", "hello", "fine."]

    play(script, runtime)


def test_a_talk_that_breaks_off_begins_again_where_somebody_reads() -> None:
    runtime, _ = made()

    async def script(office: Office) -> None:
        ws = await office.reader()
        session = office.runtime.session("lobby")
        assert session is not None

        async def bug() -> None:
            raise OSError("a bug")

        session._group.create_task(bug())
        await session.closed.wait()
        receipt = await office.runtime.deliver("lobby", "boats float.")
        begun = now()
        assert (await receipt).status is Status.HEARD
        assert AGAIN < now() - begun < AGAIN + 3
        assert ws.texts == ["boats float."]

    play(script, runtime)


def test_a_room_that_is_closed_and_made_again_begins_anew() -> None:
    runtime, model = made(["one."], ["two."])

    async def script(office: Office) -> None:
        await office.reader()
        await office.write("a")
        closing = [asyncio.create_task(office.runtime.close_room("lobby")) for _ in range(2)]
        making = asyncio.create_task(office.runtime.create_room("lobby", metadata={"k": 1}))
        await asyncio.wait([*closing, making])
        assert (await making).metadata == {"k": 1}
        assert await office.runtime.store.list_rooms() == ["lobby"]
        await office.mute()
        await office.write("b", channel="gate")
        assert said(model) == ["b"]

    play(script, runtime)


def test_who_asks_for_a_rooms_end_and_goes_has_it_ended() -> None:
    runtime, _ = made()

    async def script(office: Office) -> None:
        await office.reader()
        await office.write()
        closing = asyncio.create_task(office.runtime.close_room("lobby"))
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        await asyncio.sleep(1)
        assert office.runtime.session("lobby") is None
        assert await office.runtime.store.timeline("lobby") == []
        assert await office.runtime.store.list_rooms() == []

    play(script, runtime)


def test_everybody_who_writes_is_a_user() -> None:
    runtime, model = made()

    async def script(office: Office) -> None:
        await office.mute()
        await office.write("a", channel="gate")
        assert [m.role for m in model.asked[-1].messages] == [Role.USER]

    play(script, runtime)


def test_a_message_is_answered_in_writing_when_the_voices_have_just_gone() -> None:
    runtime, model = made(["one."], [OSError("no network")], [10_000.0], ["four."])

    async def script(office: Office) -> None:
        vera = await voice(office)
        ws = await office.reader()
        vera.hang_up()
        assert [reply(await office.write(text)) for text in "abcd"] == ["one.", APOLOGY, APOLOGY, "four."]
        session = office.runtime.session("lobby")
        assert session is not None
        assert not session.written
        assert said(model) == ["a", "one.", "b", APOLOGY, "c", APOLOGY, "d"]
        await asyncio.sleep(1)
        assert ws.texts == ["one.", APOLOGY, APOLOGY, "four."]

    play(script, runtime)


def test_a_hook_may_refuse_what_is_answered_in_writing_when_the_voices_have_just_gone() -> None:
    runtime, _ = made()

    @runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC)
    def refuse(event: RoomEvent, context: HookContext) -> None:
        if event.sender_id == "host":
            raise Refuse("no")

    async def script(office: Office) -> None:
        await office.runtime.enter("lobby")
        ws = await office.reader()
        result = await office.write()
        assert (result.reply, result.refused) == (None, "no")
        await asyncio.sleep(1)
        assert ws.texts == []

    play(script, runtime)


@pytest.mark.parametrize(("takes", "called"), [(3.0, 1), (60.0, 2)])
def test_voices_wait_a_little_for_a_tool_so_that_it_is_not_called_again(takes: float, called: int) -> None:
    used: list[float] = []

    async def book() -> str:
        used.append(now())
        await asyncio.sleep(takes)
        return "booked"

    orchestration, model = talks([calls("book")], ["it is booked."], tools=[book])
    if called == 2:
        model.replies = [[calls("book")], [calls("book")], ["it is booked."]]
    runtime = Runtime(orchestration=orchestration, state=None, channels=lambda room: SimulatedChannel())

    async def script(office: Office) -> None:
        await office.reader()
        asking = office.begin("book it")
        await asyncio.sleep(1)
        await voice(office)
        assert now() == min(takes, 1 + GIVE_WAY)
        assert reply(await asking) == "it is booked."
        assert len(used) == called

    play(script, runtime)
