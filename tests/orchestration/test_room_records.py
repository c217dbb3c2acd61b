"""What is kept of rooms: a conversation goes on after a restart, a crash, or in another process; its end is its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from delivery.ledger import LEASE, Process
from delivery.memory import MemoryLedger
from orchestration import (
    ConversationState,
    InboundMessage,
    RoomElsewhereError,
    RoomError,
    Runtime,
    TextChannel,
    TextContent,
    get_conversation_state,
    set_conversation_state,
)
from orchestration.event import RoomEvent
from orchestration.inbound import InboundResult
from orchestration.models.model import Message, Role
from orchestration.room_records import PASSING, PATIENCE, UPKEEP
from orchestration.session import LINGER
from orchestration.store import MemoryRoomStore, StaleRoomError, StoreError
from tests.orchestration.models.double import Double
from tests.orchestration.post import Reader, reply, talks
from voice.channel import APOLOGY
from voice.clock import run
from voice.simulated import SimulatedChannel
from voice.simulated_caller import SimulatedCaller


def made(model_says: list[list[Any]] | None = None, **parts: Any) -> tuple[Runtime, Double]:
    orchestration, model = talks(*model_says or [["fine."]])
    options = {"orchestration": orchestration, "state": None, "channels": lambda room: SimulatedChannel(), **parts}
    return Runtime(**options), model


async def write(runtime: Runtime, text: str, room: str = "lobby") -> InboundResult:
    if "gate" not in runtime.room(room).channels:
        await runtime.attach_channel(room, TextChannel("gate"))
    return await runtime.process_inbound(InboundMessage("gate", "ann", TextContent(text)), room_id=room)


async def call(runtime: Runtime, room: str = "lobby") -> SimulatedCaller:
    session = await runtime.enter(room)
    assert isinstance(session.channel, SimulatedChannel)
    return session.channel.join("ann")


def shown(model: Double) -> list[str]:
    return [m.text for m in model.asked[-1].messages]


# -- restarts


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def state(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    return str(request.getfixturevalue("postgres_url") if request.param == "postgres" else tmp_path / "state")


def test_a_conversation_goes_on_after_a_restart(state: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(60):
            first, _ = made([["one."], ["two ", OSError("no network")]], state=state)
            async with first:
                room = await first.create_room("lobby", metadata={"vip": True})
                assert reply(await write(first, "a")) == "one."
                await write(first, "b")
                told = get_conversation_state(room).transition("handling", "host", "it is about boats")
                await first.store.update_room(set_conversation_state(room, told))
            second, model = made(state=state)
            async with second:
                assert await second.store.list_rooms() == ["lobby"]
                room = await second.create_room("lobby", metadata={"new": [1]})
                assert room.metadata["vip"] is True
                assert room.metadata["new"] == [1]
                assert get_conversation_state(room) == told
                await write(second, "c")
                assert shown(model) == ["a", "one.", "b", f"two {APOLOGY} (cut off here)", "c"]
                assert [e.text for e in await second.store.timeline("lobby", 3)] == [f"two {APOLOGY}", "c", "fine."]
                await second.close_room("lobby")
            third, model = made(state=state)
            async with third:
                assert await third.store.list_rooms() == []
                assert (await third.create_room("lobby")).metadata == {}
                await write(third, "d")
                assert shown(model) == ["d"]

    asyncio.run(main())


def test_what_was_cut_off_aloud_is_marked_after_a_restart() -> None:
    store = MemoryRoomStore()

    async def main() -> None:
        first, _ = made([["one two three four five six seven."], ["yes."]], store=store)
        async with first:
            await first.create_room("lobby")
            ann = await call(first)
            await ann.say("tell me")
            await ann.hears("three")
            await ann.say("stop that please")
            await asyncio.sleep(5)
        second, model = made(store=store)
        async with second:
            await second.create_room("lobby")
            await write(second, "hello")
            told = shown(model)
            assert (told[0], told[2:]) == ("tell me", ["stop that please", "yes.", "hello"])
            assert told[1].startswith("one two three")
            assert told[1].endswith("(cut off here)")

    run(main())


def test_what_was_for_one_agent_only_is_not_told_to_all_after_a_restart() -> None:
    store = MemoryRoomStore()

    async def main() -> None:
        first, _ = made(store=store)
        async with first:
            await first.create_room("lobby")
            await first.attach_channel("lobby", TextChannel("gate"), visibility="nobody")
            await write(first, "secret")
        second, model = made(store=store)
        async with second:
            await second.create_room("lobby")
            await write(second, "hello")
            assert shown(model) == ["hello"]

    run(main())


# -- rooms that go with their talk


def test_a_store_that_fails_otherwise_than_it_says_ends_no_room(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(MemoryRoomStore):
        async def save(self, room: str, metadata: Mapping[str, Any], version: int) -> int:
            raise OSError("the disk is full")

    async def main() -> None:
        runtime, _ = made([["one."], ["two."]], store=Broken())
        async with runtime:
            ann = await call(runtime)
            for _ in range(2):
                await ann.say("hello")
                await asyncio.sleep(UPKEEP)
            assert runtime.session("lobby") is not None
            assert [event.text for event in await runtime.store.timeline("lobby")] == ["hello", "one.", "hello", "two."]

    run(main())
    assert "the disk is full" in caplog.text


def test_a_passing_room_is_taken_up_after_a_crash_for_a_while() -> None:
    store = MemoryRoomStore()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            crashed, _ = made([["one."]], store=store)
            await stack.enter_async_context(crashed)
            ann = await call(crashed)
            for _ in range(30):  # half an hour
                await ann.say("hello")
                await asyncio.sleep(UPKEEP)
            for later, remembered in ((PASSING - 2 * UPKEEP, True), (PASSING, False)):
                await asyncio.sleep(later)
                again, model = made(store=store)
                await stack.enter_async_context(again)
                await (await call(again)).say("and now")
                await asyncio.sleep(5)
                assert (shown(model) != ["and now"]) is remembered
                assert shown(model)[-1] == "and now"

    run(main())


def test_a_passing_room_is_forgotten_when_it_ends() -> None:
    store = MemoryRoomStore()

    async def main() -> None:
        runtime, model = made(store=store)
        async with runtime:
            ann = await call(runtime)
            await ann.say("hello")
            await asyncio.sleep(5)
            assert await store.rooms() == ["lobby"]
            ann.hang_up()
            await asyncio.sleep(LINGER + 1)
            assert (await store.rooms(), await store.timeline("lobby")) == ([], [])
            await (await call(runtime)).say("again")
            await asyncio.sleep(5)
            assert shown(model) == ["again"]
        assert (await store.rooms(), await store.timeline("lobby")) == ([], [])

    run(main())


def test_words_without_a_room_are_somebody_elses() -> None:
    store = MemoryRoomStore()

    async def main() -> None:
        await store.add("lobby", [RoomEvent("e", "lobby", "ws", "bob", TextContent("old"))])
        runtime, model = made(store=store)
        async with runtime:
            await (await call(runtime)).say("hello")
            await asyncio.sleep(5)
            assert shown(model) == ["hello"]
            assert [e.text for e in await runtime.store.timeline("lobby")] == ["hello", "fine."]

    run(main())


# -- several processes


def test_who_takes_a_room_up_knows_what_another_process_made_of_it() -> None:
    shared: dict[str, Any] = {"store": MemoryRoomStore(), "ledger": MemoryLedger()}

    async def main() -> None:
        (first, _), (second, model) = made([["one."]], **shared), made(**shared)
        async with first, second:
            room = await first.create_room("lobby")
            other = await second.create_room("lobby")
            await write(first, "a")
            await first.store.update_room(replace(room, metadata={"vip": True}))
            await asyncio.sleep(LINGER + 5)
            await write(second, "b")
            assert shown(model) == ["a", "one.", "b"]
            assert other.metadata == {"vip": True}
            await second.store.update_room(replace(other, metadata={"vip": False}))
            await asyncio.sleep(LINGER + 5)
            await write(first, "c")
            assert room.metadata == {"vip": False}
            await asyncio.sleep(LINGER + 5)
            await first.close_room("lobby")
            await write(second, "d")
            assert shown(model) == ["d"]
            assert other.metadata == {}

    run(main())


def test_a_room_that_another_process_has_is_elsewhere_until_that_lets_it_go() -> None:
    shared: dict[str, Any] = {"store": MemoryRoomStore(), "ledger": MemoryLedger()}

    async def main() -> None:
        first, _ = made(address="http://one.example", **shared)
        second, _ = made(address="http://two.example", **shared)
        async with first, second:
            await first.create_room("lobby")
            await second.create_room("lobby")
            reader = Reader()
            await first.attach_channel("lobby", reader.channel)
            await second.attach_channel("lobby", Reader("other").channel)
            for _ in range(2):
                with pytest.raises(RoomElsewhereError, match=r"in another process: go to http://one\.example"):
                    await write(second, "hello")
            assert reply(await write(first, "hello")) == "fine."
            await first.close_room("lobby")
            assert reply(await write(second, "hello")) == "fine."

    run(main())


def test_a_room_that_is_lost_answers_nothing_more_here() -> None:
    shared: dict[str, Any] = {"store": MemoryRoomStore(), "ledger": MemoryLedger()}

    async def main() -> None:
        first, _ = made([["one."], [3 * LEASE, "two."]], address="http://one.example", **shared)
        async with first:
            await first.create_room("lobby")
            reader = Reader()
            await first.attach_channel("lobby", reader.channel)
            await write(first, "a")
            asking = asyncio.create_task(write(first, "b"))
            await asyncio.sleep(1)
            session = first.session("lobby")
            assert session is not None
            await first.ledger.leave_room("lobby", session.desk._epoch)
            await first.ledger.beat(Process("another", "http://two.example"))
            await first.ledger.take_room("lobby", "another")
            await first.deliver("lobby", "boats float.", strategy="immediate")
            with pytest.raises(RoomElsewhereError, match=r"two\.example"):
                await asking
            assert reader.texts == ["a", "one.", "b"]

    run(main())


def test_of_two_who_change_a_room_at_once_one_is_told_and_has_what_the_other_made() -> None:
    store = MemoryRoomStore()

    async def main() -> None:
        (first, _), (second, _) = made(store=store), made(store=store)
        async with first, second:
            rooms = await asyncio.gather(*(each.create_room("lobby", metadata={"n": 0}) for each in (first, second)))
            await first.store.update_room(replace(rooms[0], metadata={"n": 1}))
            with pytest.raises(StaleRoomError, match="somebody else saved it"):
                await second.store.update_room(replace(rooms[1], metadata={"n": 2}))
            assert rooms[1].metadata == {"n": 1}
            await second.store.update_room(replace(rooms[1], metadata={"n": 2}))
            assert (await store.load("lobby")).metadata == {"n": 2}  # type: ignore[union-attr]

    run(main())


def test_rooms_that_are_made_in_two_processes_at_once_are_one() -> None:
    class Slow(MemoryRoomStore):
        async def save(self, room: str, metadata: Any, version: int) -> int:
            await asyncio.sleep(0.1)
            return await super().save(room, metadata, version)

    store = Slow()

    async def main() -> None:
        (first, _), (second, _) = made(store=store), made(store=store)
        async with first, second:
            made_ = await asyncio.gather(first.create_room("x", metadata={"a": 1}), second.create_room("x"))
            assert [room.metadata for room in made_] == [{"a": 1}, {"a": 1}]

    run(main())


# -- what is wrong


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"a": object()}, "metadata"),
        ({"a": "x" * 70_000}, "metadata: more than"),
        ([], "metadata: list is no mapping"),
        ({"_conversation_state": {"phase": 7}}, "phase: 7 is no phase"),
    ],
)
def test_metadata_that_cannot_be_kept_change_nothing(metadata: Any, said: str) -> None:
    async def main() -> None:
        runtime, _ = made()
        async with runtime:
            room = await runtime.create_room("lobby", metadata={"n": 0})
            with pytest.raises(ValueError, match=said):
                await runtime.store.update_room(replace(room, metadata=metadata))
            assert room.metadata == {"n": 0}
            await runtime.store.update_room(replace(room, metadata={"n": 1}))

    run(main())


def test_a_room_that_is_none_or_gone_is_refused() -> None:
    async def main() -> None:
        runtime, _ = made()
        async with runtime:
            room = await runtime.create_room("lobby")
            for wrong in ("lobby", None, 7):
                with pytest.raises(TypeError, match="is no Room"):
                    await runtime.store.update_room(wrong)  # type: ignore[arg-type]
            await runtime.close_room("lobby")
            with pytest.raises(RoomError, match="there is no room 'lobby'"):
                await runtime.store.update_room(room)

    run(main())


def test_what_is_kept_is_a_copy() -> None:
    async def main() -> None:
        runtime, _ = made()
        async with runtime:
            room = await runtime.create_room("lobby")
            mine: dict[str, Any] = {"list": [1]}
            live = await runtime.store.update_room(replace(room, metadata=mine))
            mine["list"].append(2)
            mine["more"] = True
            assert live is room
            assert room.metadata == {"list": [1]}
            state = ConversationState().transition("handling", "host")
            await runtime.store.update_room(set_conversation_state(room, state))
            assert get_conversation_state(room) is get_conversation_state(room)
            assert room.metadata["list"] == [1]

    run(main())


def test_a_store_that_is_away_holds_nobody_up_for_long(caplog: pytest.LogCaptureFixture) -> None:
    class Away(MemoryRoomStore):
        away = False

        async def add(self, room: str, events: Any) -> None:
            if self.away:
                raise StoreError("the disk is full")
            await super().add(room, events)

    store = Away()

    async def main() -> None:
        runtime, _ = made(store=store)
        async with runtime:
            await runtime.create_room("lobby")
            store.away = True
            assert reply(await write(runtime, "hello")) == "fine."
            with pytest.raises(StoreError, match=f"could not be written within {PATIENCE:g} s"):
                await runtime.store.timeline("lobby")
            with pytest.raises(StoreError, match="could not be written"):
                await runtime.close_room("lobby")
            assert runtime.session("lobby") is None
            store.away = False
            await asyncio.sleep(2)
            assert [e.text for e in await runtime.store.timeline("lobby")] == ["hello", "fine."]

    run(main())
    assert "cannot be written" in caplog.text


def test_a_room_can_be_made_of_what_another_room_remembers() -> None:
    """Messages of a restarted conversation are whole: who said what is known."""
    store = MemoryRoomStore()

    async def main() -> None:
        first, _ = made(store=store)
        async with first:
            await first.create_room("lobby")
            await write(first, "a")
        second, model = made(store=store)
        async with second:
            await second.create_room("lobby")
            await write(second, "b")
            assert list(model.asked[-1].messages) == [
                Message(Role.USER, "a"),
                Message(Role.ASSISTANT, "fine."),
                Message(Role.USER, "b"),
            ]

    run(main())


# -- changing the state


class Slow(MemoryRoomStore):
    """Takes its time to save."""

    async def save(self, room: str, metadata: Mapping[str, Any], version: int) -> int:
        await asyncio.sleep(1)
        return await super().save(room, metadata, version)


def test_of_changes_made_at_once_none_is_lost() -> None:
    async def main() -> None:
        runtime, _ = made(store=Slow())
        async with runtime:
            room = await runtime.create_room("lobby")

            async def count(name: str) -> None:
                await runtime.store.change_state(room, lambda state: state.remembering({name: True}))

            await asyncio.gather(*map(count, "abc"))
            assert get_conversation_state(room).context == {"a": True, "b": True, "c": True}
            assert (await runtime.store.change_state(room, lambda state: state)).context.keys() == {"a", "b", "c"}
            assert room.version == 4

    run(main())


def test_a_change_is_made_again_of_what_another_process_made_of_the_room() -> None:
    seen: list[str] = []

    def change(state: ConversationState) -> ConversationState:
        seen.append(state.phase)
        return state.transition("handling")

    async def main() -> None:
        store = MemoryRoomStore()
        runtime, _ = made(store=store)
        async with runtime:
            room = await runtime.create_room("lobby")
            theirs = set_conversation_state(room, ConversationState(phase="escalation"))
            await store.save("lobby", theirs.metadata, room.version)
            after = await runtime.store.change_state(room, change)
            assert (seen, after.phase) == (["intake", "escalation"], "handling")
            assert [step.from_phase for step in get_conversation_state(room).phase_history] == ["escalation"]
            await runtime.close_room("lobby")
            with pytest.raises(RoomError, match="the room 'lobby' was closed"):
                await runtime.store.change_state(room, change)

    run(main())


def test_a_change_that_cannot_be_is_not_made() -> None:
    def refuse(state: ConversationState) -> ConversationState:
        raise LookupError("no")

    async def main() -> None:
        runtime, _ = made()
        async with runtime:
            room = await runtime.create_room("lobby", metadata={"floor": 1})
            with pytest.raises(LookupError):
                await runtime.store.change_state(room, refuse)
            assert (room.metadata, room.version, room.saving.locked()) == ({"floor": 1}, 1, False)

    run(main())
