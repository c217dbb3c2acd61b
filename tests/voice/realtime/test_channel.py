"""A speech-to-speech model in a room, with real sound in the frames, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from tests.voice.doubles import FakeLeg, noise, quiet
from tests.voice.realtime.double import Model
from tests.voice.realtime.room import Room, now, play
from voice.events import TurnDropped, TurnEnded
from voice.floor import FloorState

LONG = "here is a long answer that goes on for a good while and then some"


@pytest.mark.parametrize("words", ["before", "with", "after"])
@pytest.mark.parametrize("fast", [1.0, 5.0, 50.0])
def test_what_is_said_is_understood_and_answered(words: str, fast: float) -> None:
    async def scene(room: Room) -> None:
        await room.anna.say("compare postgres and sqlite", 3)
        (turn,) = room.turns
        assert (turn.text, turn.caller) == ("compare postgres and sqlite", "anna")
        assert room.times(TurnEnded) == [pytest.approx(1.2 + 0.3, abs=0.03)]
        (reply,) = room.replies
        await reply
        assert (reply.complete, reply.heard.strip()) == (True, "you said compare postgres and sqlite")
        assert room.anna.text == "you said compare postgres and sqlite"
        assert reply.started == pytest.approx(1.5 + 0.2 + room.anna.jitter, abs=0.05)
        assert room.channel.floor.open

    play(scene, Model(words=words, fast=fast))
