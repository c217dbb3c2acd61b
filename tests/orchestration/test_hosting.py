"""Rooms that are written in: what is asked is answered, in order, once, whatever breaks; and the talk goes on."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from delivery import Status
from delivery.desk import Refuse
from orchestration import (
    Agent,
    ChannelType,
    HookContext,
    HookExecution,
    HookTrigger,
    InboundMessage,
    RoomError,
    Runtime,
    TextChannel,
    TextContent,
)
from orchestration.broadcast import PATIENCE
from orchestration.event import RoomEvent
from orchestration.models.model import Message, Role
from orchestration.models.watched import STALLED
from orchestration.readers import MAX_SENDERS
from orchestration.session import LINGER
from tests.orchestration.models.double import calls
from tests.orchestration.post import Office, Talks, opened, play, reply, talks
from voice.channel import APOLOGY
from voice.clock import now
from voice.written_floor import REPLY

SYNC = HookExecution.SYNC


# -- an answer


def test_what_is_written_is_answered_to_who_asked_and_to_who_reads() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader()
        result = await office.write("hello there")
        assert (reply(result), result.refused) == ("fine.", "")
        assert result.event is not None
        assert result.reply is not None
        assert (result.event.text, result.event.sender_id, result.event.channel_type) == (
            *("hello there", "ann"),
            ChannelType.WEBSOCKET,
        )
        assert (result.reply.sender_id, result.reply.channel_type, result.reply.metadata) == (
            *("host", ChannelType.AI),
            {"complete": True},
        )
        assert ws.got == [result.reply]

    play(script)


def test_the_agent_remembers_what_was_said_in_order() -> None:
    orchestration, model = talks(["one."], ["two."], ["three."])

    async def script(office: Office) -> None:
        await office.reader("ws", 1.0, 1.0)
        burst = [office.begin(text) for text in ("a", "b", "c")]
        assert [reply(await each) for each in burst] == ["one.", "two.", "three."]
        assert [message.text for message in model.asked[-1].messages] == ["a", "one.", "b", "two.", "c"]

    play(script, Runtime(orchestration=orchestration, state=None))


def test_bursts_of_many_are_answered_one_after_the_other_and_none_is_lost() -> None:
    echo = Agent("echo", model=Echo())

    async def script(office: Office) -> None:
        ws = await office.reader()
        burst = [office.begin(f"{n}", sender=f"s{n % 7}") for n in range(100)]
        assert [reply(await each) for each in burst] == [f"re {n}" for n in range(100)]
        assert ws.texts == [f"re {n}" for n in range(100)]
        assert ws.most == 1

    play(script, Runtime(orchestration=Talks(echo), state=None))


class Echo:
    """Says again what was said last."""

    name = "echo"

    async def stream(self, messages: Any, *, prompt: str = "", tools: Any = ()) -> Any:
        from orchestration.models.model import TextDelta

        yield TextDelta(f"re {messages[-1].text}")


def test_who_stops_waiting_for_the_answer_takes_nothing_back() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader()
        asking = asyncio.create_task(office.write())
        await asyncio.sleep(1)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        await asyncio.sleep(10)
        assert ws.texts == ["fine."]
        assert reply(await office.write("again")) == "fine."

    play(script, opened([5.0, "fine."]))


def test_a_channel_that_only_brings_messages_gets_the_answer_back() -> None:
    async def script(office: Office) -> None:
        await office.mute()
        assert reply(await office.write(channel="gate")) == "fine."
        ws = await office.reader("ws", OSError("gone"), OSError("gone"))
        assert reply(await office.write(channel="gate")) == "fine."
        assert ws.got == []
        assert [m.text for m in office.runtime.room("lobby").memory.messages(HOST)] == ["hello", "fine."] * 2

    play(script)


HOST = Agent("host", model=Echo())


def test_a_room_without_agents_answers_nothing() -> None:
    async def script(office: Office) -> None:
        ws, other = await office.reader(), await office.reader("other")
        result = await office.write()
        assert result.event is not None
        assert (result.reply, result.refused) == (None, "")
        await asyncio.sleep(1)
        assert (ws.texts, other.texts) == ([], ["hello"])

    play(script, Runtime(state=None))


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ("hello", TypeError, "message: str is no message"),
        (InboundMessage("nowhere", "ann", TextContent("x")), RoomError, "channel_id: 'nowhere' is in no room"),
        (InboundMessage("looks", "ann", TextContent("x")), RoomError, "channel_id: 'looks' only looks on in room"),
    ],
)
def test_what_cannot_be_taken_is_named(wrong: Any, error: type[Exception], said: str) -> None:
    async def script(office: Office) -> None:
        await office.reader("looks", category="system")
        with pytest.raises(error, match=said):
            await office.runtime.process_inbound(wrong)

    play(script)


def test_a_channel_in_several_rooms_must_be_told_in_which() -> None:
    async def script(office: Office) -> None:
        channel = TextChannel("sms", ChannelType.SMS)
        await office.runtime.create_room("attic")
        for room in ("lobby", "attic"):
            await office.runtime.attach_channel(room, channel)
        message = InboundMessage("sms", "ann", TextContent("hello"))
        with pytest.raises(RoomError, match="room_id: 'sms' is in 2 rooms; say in which"):
            await office.runtime.process_inbound(message)
        with pytest.raises(RoomError, match="there is no room 'cellar'"):
            await office.runtime.process_inbound(message, room_id="cellar")
        await office.runtime.detach_channel("attic", "sms")
        assert reply(await office.runtime.process_inbound(message)) == "fine."
        with pytest.raises(RoomError, match="channel_id: 'sms' is not in room 'attic'"):
            await office.runtime.process_inbound(message, room_id="attic")

    play(script)


# -- what breaks


def test_a_model_that_fails_is_apologised_for_and_the_talk_goes_on() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader()
        assert reply(result := await office.write()) == APOLOGY
        assert result.reply is not None
        assert result.reply.metadata["complete"] is False
        assert reply(await office.write()) == f"well {APOLOGY}"
        assert reply(await office.write()) == APOLOGY
        assert reply(await office.write()) == "fine."
        assert ws.texts == [APOLOGY, f"well {APOLOGY}", APOLOGY, "fine."]
        last = office.runtime.room("lobby").memory.messages(HOST)
        assert [m.text for m in last][1::2] == [f"{t} (cut off here)" for t in ws.texts[:3]] + ["fine."]

    play(script, opened([OSError("no network")], ["well ", OSError("no network")], [], ["fine."]))


def test_a_model_that_stalls_is_apologised_for() -> None:
    async def script(office: Office) -> None:
        await office.reader()
        assert reply(await office.write()) == APOLOGY
        assert now() == STALLED
        assert reply(await office.write()) == "fine."

    play(script, opened([10_000.0], ["fine."]))


def test_a_model_that_never_stops_calling_tools_is_apologised_for() -> None:
    async def again() -> str:
        return "again"

    async def script(office: Office) -> None:
        await office.reader()
        assert reply(await office.write()) == APOLOGY

    play(script, opened([calls("again")], tools=[again]))


def test_a_tool_that_takes_for_ever_is_given_up() -> None:
    async def sleep() -> str:
        await asyncio.sleep(9_000)
        return "never"

    async def script(office: Office) -> None:
        ws = await office.reader()
        second = office.begin("b")
        assert reply(await office.write("a")) in ("fine.", f"one moment. {APOLOGY}")
        await second
        assert now() == REPLY
        assert ws.texts == [f"one moment. {APOLOGY}", "fine."]

    play(script, opened(["one moment. ", calls("sleep")], ["fine."], tools=[sleep]))


def test_a_broken_memory_ends_no_talk(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        broken = ""

        def fresh(self) -> Broken:
            return self

        def add(self, *messages: Message) -> None:
            if self.broken == "add":
                raise OSError("a bug")

        def messages(self, agent_id: str = "", state: object = None) -> list[Message]:
            if self.broken == "messages":
                raise OSError("a bug")
            return [Message(Role.USER, "hello")]

    memory = Broken()

    async def script(office: Office) -> None:
        await office.reader()
        for broken, answer in (("", "re hello"), ("add", "re hello"), ("messages", APOLOGY), ("", "re hello")):
            memory.broken = broken
            assert reply(await office.write()) == answer

    play(script, Runtime(orchestration=Talks(Agent("host", model=Echo(), memory=memory)), state=None))
    assert "what was said is not remembered" in caplog.text


def test_a_state_that_is_none_ends_no_talk(caplog: pytest.LogCaptureFixture) -> None:
    async def script(office: Office) -> None:
        await office.reader()
        room = office.runtime.room("lobby")
        room.metadata = {"_conversation_state": {"phase": 7}}
        result = await office.write()
        assert reply(result) == APOLOGY
        assert result.event is not None
        room.metadata = {}
        assert reply(await office.write()) == "fine."

    play(script)
    assert "cannot be answered" in caplog.text


# -- a `send` that stumbles


def test_a_reader_that_cannot_be_reached_ends_no_talk() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader("ws", OSError("gone"), asyncio.CancelledError())
        for _ in range(2):
            result = await office.write()
            assert (result.reply, result.refused) == (None, "")
        assert reply(await office.write()) == "fine."
        assert ws.texts == ["fine."]

    play(script)


def test_a_reader_that_hangs_is_given_up_and_the_next_message_is_answered() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader("ws", 1_000.0)
        assert reply(await office.write()) == ""
        assert now() == PATIENCE
        assert reply(await office.write()) == "fine."
        assert (now(), ws.texts) == (PATIENCE, ["fine."])

    play(script)


def test_one_that_hangs_does_not_keep_the_others_waiting_and_nobody_gets_anything_twice() -> None:
    async def script(office: Office) -> None:
        ws, dead = await office.reader(), await office.reader("dead", 1_000.0)
        receipt = await office.runtime.deliver("lobby", "boats float.", strategy="immediate")
        assert (await receipt).status is Status.HEARD
        assert now() < 5
        assert reply(await office.write()) == "fine."
        await asyncio.sleep(200)
        assert ws.texts == ["boats float.", "fine."]
        assert dead.texts == ["hello", "fine."]
        assert dead.most == 1

    play(script)


def test_it_is_enough_that_one_reader_has_it_also_when_another_fails_later() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader()
        await office.reader("other", 0.5, OSError("gone"))
        assert reply(await office.write()) == "fine."
        assert ws.texts == ["fine."]

    play(script)


# -- who sees what


def test_others_see_what_is_written_and_in_order() -> None:
    async def script(office: Office) -> None:
        ws, other = await office.reader(), await office.reader("other", 3.0)
        watch = await office.reader("watch", category="system")
        await office.write("one")
        await office.write("two")
        await asyncio.sleep(10)
        assert ws.texts == ["fine.", "fine."]
        assert other.texts == watch.texts == ["one", "fine.", "two", "fine."]
        assert other.most == 1

    play(script)


@pytest.mark.parametrize(
    ("visibility", "seen", "answered"),
    [
        ("all", ["other", "watch"], True),
        ("none", [], False),
        ("transport", ["other"], False),
        ("system", ["watch"], False),
        ("intelligence", [], True),
        ("other, host", ["other"], True),
        ("other", ["other"], False),
    ],
)
def test_a_channel_says_who_sees_what_it_brings(visibility: str, seen: list[str], answered: bool) -> None:
    async def script(office: Office) -> None:
        await office.reader(visibility=visibility)
        others = [await office.reader("other"), await office.reader("watch", category="system")]
        result = await office.write("secret")
        await asyncio.sleep(1)
        assert [reader.id for reader in others if "secret" in reader.texts] == seen
        assert bool(result.reply) is answered
        known = [m.text for m in office.runtime.room("lobby").memory.messages(HOST)]
        assert ("secret" in known) is answered

    play(script)


def test_a_private_word_to_one_agent_is_not_remembered_by_another() -> None:
    agents = [Agent("host", model=Echo()), Agent("clerk", model=Echo())]

    async def script(office: Office) -> None:
        await office.mute("open")
        await office.mute("private", visibility="host")
        assert reply(await office.write("secret", channel="private")) == "re secret"
        await office.write("public", channel="open")
        memory = office.runtime.room("lobby").memory
        said = [[m.text for m in memory.messages(agent) if m.role is Role.USER] for agent in agents]
        assert said == [["secret", "public"], ["public"]]

    play(script, Runtime(orchestration=Talks(*agents), state=None))


# -- what is delivered


def test_a_result_is_written_once_to_whom_it_is_for() -> None:
    async def script(office: Office) -> None:
        ann, bob = await office.reader("a"), await office.reader("b")
        watch = await office.reader("watch", category="system")
        await office.write(sender="ann", channel="a")
        await office.write(sender="bob", channel="b")
        for to, got in (("ann", ann), ("bob", bob), ("b", bob)):
            for reader in (ann, bob, watch):
                reader.got.clear()
            receipt = await office.runtime.deliver("lobby", f"for {to}", to=to)
            assert (await receipt).status is Status.HEARD
            await asyncio.sleep(0)
            assert [reader.texts for reader in (ann, bob, watch)] == [
                *([f"for {to}"] if reader is got else [] for reader in (ann, bob)),
                [f"for {to}"],
            ]

    play(script)


def test_a_result_for_somebody_who_cannot_be_reached_waits_until_they_can() -> None:
    async def script(office: Office) -> None:
        await office.mute()
        other = await office.reader("other")
        await office.write(channel="gate")
        receipt = await office.runtime.deliver("lobby", "for ann", to="ann")
        await asyncio.sleep(10)
        assert await receipt.status() is Status.QUEUED
        ws = await office.reader()
        await office.write()
        assert (await receipt).status is Status.HEARD
        assert ws.texts == ["fine.", "for ann"]
        assert "for ann" not in other.texts

    play(script)


def test_who_wrote_by_a_channel_that_reads_is_reached_by_it_also_after_writing_by_one_that_does_not() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader()
        await office.mute()
        await office.write()
        await office.write(channel="gate")
        assert (await (await office.runtime.deliver("lobby", "for ann", to="ann"))).status is Status.HEARD
        assert ws.texts[-1] == "for ann"

    play(script)


def test_who_calls_themselves_like_a_channel_gets_nothing_that_is_for_it() -> None:
    async def script(office: Office) -> None:
        ann, eve = await office.reader("ann"), await office.reader("eve")
        await office.write(sender="ann", channel="eve")
        assert (await (await office.runtime.deliver("lobby", "for ann", to="ann"))).status is Status.HEARD
        assert ann.texts[-1] == "for ann"
        assert "for ann" not in eve.texts
        await office.runtime.detach_channel("lobby", "eve")
        assert (await (await office.runtime.deliver("lobby", "for all"))).status is Status.HEARD
        assert ann.texts[-1] == "for all"

    play(script)


def test_of_many_who_wrote_the_first_are_forgotten() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader()
        for number in range(MAX_SENDERS + 1):
            await office.write(sender=f"s{number}")
        session = office.runtime.session("lobby")
        assert session is not None
        assert len(session.channel.callers) == MAX_SENDERS + 1  # the channel's own among them
        first, last = [await office.runtime.deliver("lobby", f"{n}.", to=f"s{n}") for n in (0, MAX_SENDERS)]
        assert (await last).status is Status.HEARD
        assert await first.status() is Status.QUEUED
        assert ws.texts[-1] == f"{MAX_SENDERS}."

    play(script)


def test_a_result_whose_sending_fails_is_sent_again_and_then_set_aside() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader("ws", OSError("gone"))
        assert (await (await office.runtime.deliver("lobby", "one"))).status is Status.HEARD
        assert ws.texts == ["one"]
        ws.mood = [OSError("gone")] * 3
        assert (await (await office.runtime.deliver("lobby", "two"))).status is Status.DEAD
        assert (await (await office.runtime.deliver("lobby", "three"))).status is Status.HEARD
        assert ws.texts == ["one", "three"]

    play(script)


def test_what_was_told_while_a_message_waited_comes_before_it() -> None:
    orchestration, model = talks(["fine."])

    async def script(office: Office) -> None:
        ws = await office.reader("ws", 2.0)
        await office.runtime.deliver("lobby", "boats float.", strategy="immediate")
        await asyncio.sleep(1)
        assert ws.now == 1
        await office.write("hello")
        assert [m.text for m in model.asked[-1].messages] == ["boats float.", "hello"]
        assert ws.texts == ["boats float.", "fine."]

    play(script, Runtime(orchestration=orchestration, state=None))


def test_queued_results_come_together_and_late_ones_expire() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader("ws", 8.0)
        asking = office.begin()
        await asyncio.sleep(1)
        late = await office.runtime.deliver("lobby", "late.", ttl=2.0)
        receipts = [await office.runtime.deliver("lobby", f"{n}.", strategy="queued") for n in ("one", "two")]
        assert (await late).status is Status.EXPIRED
        for receipt in receipts:
            assert (await receipt).status is Status.HEARD
        await asking
        assert len(ws.texts) == 2
        assert "one." in ws.texts[1]
        assert "two." in ws.texts[1]

    play(script)


def test_what_is_owed_is_written_to_who_comes_to_read() -> None:
    async def script(office: Office) -> None:
        receipt = await office.runtime.deliver("lobby", "boats float.")
        await asyncio.sleep(100)
        ws = await office.reader()
        assert (await receipt).status is Status.HEARD
        assert ws.texts == ["boats float."]

    play(script)


# -- hooks


def test_hooks_see_each_thing_that_is_said_once() -> None:
    seen: list[str] = []
    runtime = opened()

    @runtime.hook(HookTrigger.AFTER_BROADCAST)
    def look(event: RoomEvent, context: HookContext) -> None:
        seen.append(f"{event.sender_id}: {event.text}")

    async def script(office: Office) -> None:
        await office.reader()
        await office.reader("other")
        await office.write()
        await (await office.runtime.deliver("lobby", "boats float."))
        await asyncio.sleep(1)
        assert seen == ["ann: hello", "host: fine.", "host: boats float."]

    play(script, runtime)


def test_a_hook_may_rewrite_what_is_written_on_both_sides() -> None:
    orchestration, model = talks(["my number is 1234."])
    runtime = Runtime(orchestration=orchestration, state=None)

    @runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=SYNC)
    def redact(event: RoomEvent, context: HookContext) -> str:
        return event.text.replace("1234", "****")

    async def script(office: Office) -> None:
        ws = await office.reader()
        result = await office.write("it is 1234")
        assert result.event is not None
        assert (result.event.text, reply(result), ws.texts) == (
            *("it is ****", "my number is ****."),
            ["my number is ****."],
        )
        await office.write("and?")
        assert [m.text for m in model.asked[-1].messages] == ["it is ****", "my number is ****.", "and?"]

    play(script, runtime)


def test_a_hook_may_refuse_what_is_asked_and_what_is_answered() -> None:
    runtime = opened()
    after: list[str] = []

    @runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=SYNC)
    def refuse(event: RoomEvent, context: HookContext) -> None:
        if event.text in ("bad", "fine."):
            raise Refuse(f"no {event.text}")

    @runtime.hook(HookTrigger.AFTER_BROADCAST)
    def look(event: RoomEvent, context: HookContext) -> None:
        after.append(event.text)

    async def script(office: Office) -> None:
        ws = await office.reader()
        result = await office.write("bad")
        assert (result.event, result.reply, result.refused) == (None, None, "no bad")
        assert office.runtime.session("lobby").channel.floor.open  # type: ignore[union-attr]
        result = await office.write("good")
        assert (result.reply, result.refused) == (None, "no fine.")
        await asyncio.sleep(1)
        assert (ws.texts, after) == ([], ["good"])
        assert [m.text for m in office.runtime.room("lobby").memory.messages(HOST)] == ["good"]

    play(script, runtime)


def test_hooks_that_fail_or_dawdle_keep_no_answer_back(caplog: pytest.LogCaptureFixture) -> None:
    runtime = opened()

    @runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=SYNC)
    async def dawdle(event: RoomEvent, context: HookContext) -> None:
        if event.sender_id == "ann":
            raise OSError("a bug")
        await asyncio.sleep(1_000)

    async def script(office: Office) -> None:
        await office.reader()
        assert reply(await office.write()) == "fine."

    play(script, runtime)
    assert "failed and is skipped" in caplog.text


# -- coming and going


def test_a_channel_is_in_a_room_once_and_goes_when_told() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader()
        for twice in (TextChannel("ws"), TextChannel("host")):
            with pytest.raises(ValueError, match=f"channel: '{twice.id}' is in room 'lobby' already"):
                await office.runtime.attach_channel("lobby", twice)
        with pytest.raises(TypeError, match="is no TextChannel"):
            await office.runtime.attach_channel("lobby", "ws")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="a channel of room 'lobby' has the id 'ws'"):
            await office.runtime.attach_agent("lobby", Agent("ws", model=Echo()))
        await office.runtime.detach_channel("lobby", "ws")
        with pytest.raises(ValueError, match="there is no 'ws' in room 'lobby'"):
            await office.runtime.detach_channel("lobby", "ws")
        receipt = await office.runtime.deliver("lobby", "boats float.")
        await asyncio.sleep(LINGER + 10)
        assert (ws.got, await receipt.status()) == ([], Status.QUEUED)
        assert office.runtime.session("lobby") is None

    play(script)


def test_a_channel_that_goes_while_it_is_answered_gets_nothing_more() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader()
        asking = office.begin()
        await asyncio.sleep(1)
        await office.runtime.detach_channel("lobby", "ws")
        assert reply(await asking) == "fine."
        assert ws.got == []

    play(script, opened([5.0, "fine."]))


def test_a_room_that_nobody_reads_goes_when_all_is_answered_and_not_before() -> None:
    async def script(office: Office) -> None:
        await office.mute()
        assert reply(await office.write(channel="gate")) == "fine."
        assert now() == 3 * LINGER
        assert office.runtime.session("lobby") is not None
        await asyncio.sleep(LINGER + 0.1)
        assert office.runtime.session("lobby") is None
        assert reply(await office.write(channel="gate")) == "fine."

    async def slow() -> str:
        await asyncio.sleep(3 * LINGER)
        return "at last"

    play(script, opened([calls("slow")], ["fine."], tools=[slow]))


def test_a_room_that_is_closed_meanwhile_says_so_to_all_who_wait() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader()
        asking = [asyncio.create_task(office.write(f"{n}")) for n in range(3)]
        await asyncio.sleep(1)
        await office.runtime.close_room("lobby")
        for each in asking:
            with pytest.raises(RoomError, match="room 'lobby' was closed"):
                await each
        assert (ws.got, now()) == ([], 1.0)
        with pytest.raises(RoomError, match="'ws' is in no room"):
            await office.runtime.process_inbound(InboundMessage("ws", "ann", TextContent("hello")))
        assert office.runtime._rooms.find("lobby") is None

    play(script, opened([5.0, "fine."]))


def test_a_tool_may_close_its_room_and_nothing_is_kept_of_it() -> None:
    async def end() -> str:
        await running[0].runtime.close_room("lobby")
        return "never"

    running: list[Office] = []

    async def script(office: Office) -> None:
        running.append(office)
        await office.reader()
        with pytest.raises(RoomError, match="was closed"):
            await office.write()
        await asyncio.sleep(1)
        assert await office.runtime.store.list_rooms() == []
        assert await office.runtime.store.timeline("lobby") == []

    play(script, opened([calls("end")], tools=[end]))


def test_a_runtime_that_closes_says_so_to_all_who_wait() -> None:
    outcome: list[BaseException | None] = []

    async def script(office: Office) -> None:
        await office.reader()
        asking = asyncio.create_task(office.write())
        asking.add_done_callback(lambda task: outcome.append(task.exception()))
        await asyncio.sleep(1)

    play(script, opened([50.0, "fine."]))
    assert [type(each) for each in outcome] == [RoomError]


def test_a_channel_that_cannot_be_taken_in_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    async def script(office: Office) -> None:
        async def fail(room: object, epoch: int) -> None:
            raise OSError("the disk is full")

        store = office.runtime.store
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(store), "refresh", fail_of(fail))
            with pytest.raises(RoomError, match="cannot be opened: the disk is full"):
                await office.reader()
        assert office.runtime.room("lobby").channels == {}
        await office.reader()
        assert reply(await office.write()) == "fine."

    def fail_of(fail: Any) -> Any:
        return lambda self, room, epoch: fail(room, epoch)

    with caplog.at_level(logging.CRITICAL):
        play(script)
