"""Broadcast: who is told what, in which order, and what of it is waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from delivery.desk import Refuse
from orchestration import (
    ChannelCategory,
    ChannelType,
    HookContext,
    HookExecution,
    HookTrigger,
    Runtime,
    TextChannel,
    TextContent,
)
from orchestration.broadcast import GRACE, PATIENCE, Undelivered
from orchestration.event import RoomEvent
from orchestration.room import Room
from tests.orchestration.post import Office, Reader, play
from voice.clock import now

SYNC, ASYNC = HookExecution.SYNC, HookExecution.ASYNC


def event(text: str = "hello", channel: str = "host", id: str = "e1") -> RoomEvent:
    return RoomEvent(id, "lobby", channel, channel, TextContent(text), ChannelType.AI, ChannelCategory.INTELLIGENCE)


def told(script: Callable[[Runtime, Room, dict[str, Reader]], Awaitable[None]]) -> None:
    """In a room with two who read, one who looks on, and one who only writes."""

    async def there(office: Office) -> None:
        readers = {id: await office.reader(id) for id in ("a", "b")}
        readers["watch"] = await office.reader("watch", category="system")
        await office.mute()
        await script(office.runtime, office.runtime.room("lobby"), readers)

    play(there, Runtime(state=None))


def test_all_are_told_and_who_reads_is_waited_for() -> None:
    async def script(runtime: Runtime, room: Room, readers: dict[str, Reader]) -> None:
        readers["a"].mood = [0.5]
        readers["b"].mood = [0.2]
        readers["watch"].mood = [5.0]
        await runtime.broadcast.send(room, event())
        assert now() == 0.5
        assert [reader.texts for reader in readers.values()] == [["hello"], ["hello"], []]
        await asyncio.sleep(5)
        assert readers["watch"].texts == ["hello"]

    told(script)


def test_one_is_told_what_is_for_it_and_who_looks_on() -> None:
    async def script(runtime: Runtime, room: Room, readers: dict[str, Reader]) -> None:
        await runtime.broadcast.send(room, event(), "a")
        await asyncio.sleep(0)
        assert [reader.texts for reader in readers.values()] == [["hello"], [], ["hello"]]

    told(script)


@pytest.mark.parametrize("to", ["gate", "watch", "nobody"])
def test_what_is_for_somebody_who_does_not_read_is_told_to_nobody(to: str) -> None:
    async def script(runtime: Runtime, room: Room, readers: dict[str, Reader]) -> None:
        with pytest.raises(Undelivered, match=f"'{to}' reads by no channel"):
            await runtime.broadcast.send(room, event(), to)
        await asyncio.sleep(1)
        assert [reader.texts for reader in readers.values()] == [[], [], []]

    told(script)


def test_it_is_told_when_one_has_it_and_the_rest_goes_on() -> None:
    async def script(runtime: Runtime, room: Room, readers: dict[str, Reader]) -> None:
        readers["a"].mood = [PATIENCE - 5]
        await runtime.broadcast.send(room, event("one"))
        assert now() == GRACE
        await runtime.broadcast.send(room, event("two"))
        assert now() == 2 * GRACE
        await asyncio.sleep(PATIENCE)
        assert readers["a"].texts == readers["b"].texts == ["one", "two"]
        assert readers["a"].most == 1

    told(script)


def test_when_nobody_took_it_that_is_said() -> None:
    async def script(runtime: Runtime, room: Room, readers: dict[str, Reader]) -> None:
        readers["a"].mood, readers["b"].mood = [OSError("gone")], [PATIENCE + 1]
        with pytest.raises(Undelivered, match="a, b did not take it"):
            await runtime.broadcast.send(room, event())
        assert now() == PATIENCE

    told(script)


def test_a_plain_function_takes_it_too() -> None:
    taken: list[str] = []

    async def script(office: Office) -> None:
        await office.runtime.attach_channel("lobby", TextChannel("log", send=lambda event: taken.append(event.text)))
        await office.runtime.broadcast.send(office.runtime.room("lobby"), event())

    play(script, Runtime(state=None))
    assert taken == ["hello"]


def test_in_a_room_in_which_nobody_reads_nothing_is_missed() -> None:
    async def script(office: Office) -> None:
        await office.mute()
        await office.runtime.broadcast.send(office.runtime.room("lobby"), event())

    play(script, Runtime(state=None))


def test_what_is_shown_is_not_waited_for_and_not_to_where_it_came_from() -> None:
    async def script(runtime: Runtime, room: Room, readers: dict[str, Reader]) -> None:
        readers["b"].mood = [3.0]
        runtime.broadcast.show(room, event(channel="a"))
        runtime.broadcast.show(room, event("only", channel="a"), only=frozenset({"watch", "a"}))
        assert readers["b"].got == []
        await asyncio.sleep(4)
        assert [reader.texts for reader in readers.values()] == [[], ["hello"], ["hello", "only"]]

    told(script)


def test_what_is_sent_to_who_leaves_meanwhile_ends_nothing() -> None:
    async def script(office: Office) -> None:
        ws = await office.reader("ws", 3.0)
        sending = asyncio.create_task(office.runtime.broadcast.send(office.runtime.room("lobby"), event()))
        await asyncio.sleep(1)
        await office.runtime.detach_channel("lobby", "ws")
        await sending
        assert ws.texts == ["hello"]

    play(script, Runtime(state=None))


def test_hooks_before_may_change_it_or_refuse_and_hooks_after_only_look() -> None:
    runtime = Runtime(state=None)
    seen: list[str] = []

    @runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=SYNC)
    def change(event: RoomEvent, context: HookContext) -> RoomEvent | str:
        if event.text == "bad":
            raise Refuse("no")
        return event.stamped({"seen": True}) if event.text == "stamp" else "changed"

    @runtime.hook(HookTrigger.AFTER_BROADCAST, execution=SYNC)
    def look(event: RoomEvent, context: HookContext) -> str:
        seen.append(event.text)
        if event.text == "refuse me":
            raise Refuse("too late")
        return "ignored"

    async def script(office: Office) -> None:
        broadcast = office.runtime.broadcast
        assert (await broadcast.before(event())).text == "changed"
        assert (await broadcast.before(event("stamp"))).metadata == {"seen": True}
        with pytest.raises(Refuse, match="no"):
            await broadcast.before(event("bad"))
        for text in ("one", "refuse me", "two"):
            broadcast.after(event(text))
        assert seen == []
        await asyncio.sleep(0.1)
        assert seen == ["one", "refuse me", "two"]

    play(script, runtime)
