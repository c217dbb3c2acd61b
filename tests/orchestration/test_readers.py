"""Who reads in a room: by which channel they are reached, also while a talk begins and among voices."""

from __future__ import annotations

import asyncio

from delivery.memory import MemoryLedger
from orchestration import Runtime, TextChannel
from orchestration.readers import Readers
from orchestration.room import Room
from orchestration.text_channel import Binding
from tests.orchestration.post import Office, Reader, play, talks


async def send(event: object) -> None:
    """Somebody reads it."""


def readers(room: Room) -> tuple[Readers, list[int]]:
    left: list[int] = []
    return Readers(room, lambda: left.append(1)), left


def room() -> Room:
    made = Room("lobby", Runtime(state=None).delivery)
    made.channels["ws"] = Binding(TextChannel("ws", send=send))
    return made


def test_who_wrote_is_reached_by_the_channel_of_their_last_message() -> None:
    lobby = room()
    here, _ = readers(lobby)
    lobby.channels["app"] = Binding(TextChannel("app", send=send))
    for channel in ("ws", "app"):
        here.wrote("ann", lobby.channels[channel])
        assert here.way_to("ann") == channel
    assert (here.way_to("ws"), here.way_to("bob"), here.way_to(None)) == ("ws", "bob", None)


def test_a_channels_id_is_its_own_whoever_calls_themselves_so() -> None:
    lobby = room()
    here, _ = readers(lobby)
    lobby.channels["app"] = Binding(TextChannel("app", send=send))
    here.wrote("ws", lobby.channels["app"])
    assert here.way_to("ws") == "ws"


def test_with_a_channel_those_go_who_were_reached_by_it() -> None:
    lobby = room()
    here, left = readers(lobby)
    here.wrote("ann", lobby.channels["ws"])
    del lobby.channels["ws"]
    here.gone("ws")
    assert here.way_to("ann") == "ann"
    assert left == []  # nobody talks in writing


class Slow(MemoryLedger):
    """Takes its time to give a room to somebody."""

    async def take_room(self, room: str, owner: str) -> int:
        await asyncio.sleep(1)
        return await super().take_room(room, owner)


def test_a_channel_may_go_while_the_talk_begins_that_it_came_for() -> None:
    orchestration, _ = talks(["fine."])

    async def script(office: Office) -> None:
        ws = Reader()
        coming = asyncio.create_task(office.runtime.attach_channel("lobby", TextChannel("ws", send=ws.send)))
        await asyncio.sleep(0.5)
        await office.runtime.detach_channel("lobby", "ws")
        await coming
        assert "ws" not in office.runtime.room("lobby").channels
        session = office.runtime.session("lobby")
        assert session is not None
        assert list(session.channel.callers) == []

    play(script, Runtime(orchestration=orchestration, state=None, ledger=Slow()))
