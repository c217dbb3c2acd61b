"""What waits to be answered: a flood is bounded, what was taken is answered, and others have their turn."""

from __future__ import annotations

import asyncio

import pytest

from delivery.desk import Refuse
from orchestration.event import RoomEvent
from orchestration.hooks import HookContext, HookExecution, HookTrigger
from orchestration.inbox import MAX_WAITING, MAX_WAITING_EACH
from orchestration.room_trouble import RoomError, TooManyMessagesError
from tests.orchestration.post import Office, opened, play, reply
from voice.clock import now


def test_a_flood_of_one_sender_is_bounded_and_leaves_room_for_others() -> None:
    async def script(office: Office) -> None:
        await office.reader()
        taken = [office.begin(f"{n}", "eve") for n in range(MAX_WAITING_EACH)]
        await asyncio.sleep(0)
        for _ in range(1_000):
            with pytest.raises(TooManyMessagesError, match=f"sender_id: {MAX_WAITING_EACH} messages of 'eve' wait in"):
                await office.write("more", "eve")
        other = office.begin("hello", "ann")
        assert {reply(await each) for each in (*taken, other)} == {"fine."}
        assert now() == MAX_WAITING_EACH + 1
        assert reply(await office.write("again", "eve")) == "fine."

    play(script, opened([1.0, "fine."]))


def test_a_flood_of_many_senders_is_bounded_and_what_was_taken_is_answered() -> None:
    async def script(office: Office) -> None:
        await office.reader()
        taken = [office.begin("hello", f"eve {n}") for n in range(MAX_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyMessagesError, match=f"{MAX_WAITING} messages wait in room 'lobby'; send more when"):
            await office.write()
        assert issubclass(TooManyMessagesError, RoomError)
        assert {reply(await each) for each in taken} == {"fine."}
        assert reply(await office.write()) == "fine."
        assert office.runtime._rooms.inbox._waiting == {}
        assert office.runtime._rooms.inbox._tasks == set()

    play(script, opened([0.1, "fine."]))


def test_a_flood_in_one_room_is_nothing_to_another() -> None:
    async def script(office: Office) -> None:
        await office.reader()
        await office.runtime.create_room("attic")
        from orchestration import InboundMessage, TextChannel, TextContent

        await office.runtime.attach_channel("attic", TextChannel("bell"))
        taken = [office.begin("hello", f"eve {n}") for n in range(MAX_WAITING)]
        await asyncio.sleep(0)
        message = InboundMessage("bell", "eve 1", TextContent("hello"))
        assert reply(await office.runtime.process_inbound(message)) == "fine."
        assert now() == 1.0
        for each in taken:
            each.cancel()

    play(script, opened([1.0, "fine."]))


def test_a_message_that_comes_while_the_one_before_it_is_just_answered_is_answered() -> None:
    async def script(office: Office) -> None:
        await office.reader()
        session = office.runtime.session("lobby")
        assert session is not None
        for number in range(30):
            first = asyncio.create_task(office.write(f"{number}"))
            for _ in range(number):
                await asyncio.sleep(0)
            assert reply(await office.write("second")) == "fine."
            assert reply(await first) == "fine."

    play(script, opened(["fine."]))


def test_one_that_is_refused_at_once_leaves_the_one_before_it_alone() -> None:
    async def script(office: Office) -> None:
        @office.runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC)
        def refuse(event: RoomEvent, context: HookContext) -> None:
            if event.text == "spam":
                raise Refuse("spam")

        await office.reader()
        slow = office.begin("hello", "ann")
        await asyncio.sleep(0.1)
        assert (await office.write("spam", "eve")).refused == "spam"
        assert now() < 1.0
        assert reply(await slow) == "fine."
        assert reply(await office.write("again", "ann")) == "fine."
        assert office.runtime._rooms.inbox._waiting == office.runtime._rooms.inbox._last == {}

    play(script, opened([1.0, "fine."]))
