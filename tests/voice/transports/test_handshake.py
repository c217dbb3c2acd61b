from __future__ import annotations

import json
from typing import Any

import pytest

from tests.voice.transports.line import Line
from voice.clock import now, run
from voice.transports import wire
from voice.transports.handshake import MISTAKES, greet, refuse
from voice.transports.wire import Close, Kind

JOIN = {"type": "join", "protocol": 1, "room": "lobby", "name": "Ann"}
VOICE = wire.HEADER.pack(Kind.MICROPHONE, 0, 0, 0, 0) + bytes(640)


def greeted(*messages: str | bytes | dict[str, Any], drops: bool = False) -> tuple[Line, wire.Join | None, float]:
    async def go() -> tuple[Line, wire.Join | None, float]:
        line = Line()
        socket = await line.accepted()
        for message in messages:
            line.says(message)
        if drops:
            line.drops()
        return line, await greet(socket), now()

    return run(go())


def test_a_join_is_all_it_takes() -> None:
    line, join, at = greeted(JOIN)
    assert join == wire.Join("lobby", "Ann")
    assert (line.got, line.closed, at) == ([], None, 0.0)


def test_mistakes_before_it_are_answered_and_forgiven() -> None:
    line, join, _ = greeted(VOICE, "{", {"type": "ping", "t": 1}, JOIN | {"name": ""}, JOIN)
    assert join is not None
    assert [m["code"] for m in line.control] == ["not_joined", "bad_json", "not_joined", "bad_name"]


def test_nobody_waits_for_ever() -> None:
    line, join, at = greeted(VOICE)
    assert join is None
    assert at == wire.JOIN_SECONDS
    assert line.closed == (Close.SILENT, "no join came within 10 s")


def test_too_many_mistakes() -> None:
    line, join, at = greeted(*([VOICE] * 50))
    assert join is None
    assert at == 0.0
    assert len(line.control) == MISTAKES + 1
    assert line.closed is not None
    assert line.closed[0] == Close.GARBAGE


@pytest.mark.parametrize("huge", [bytes(wire.MAX_MESSAGE + 1), "x" * (wire.MAX_MESSAGE + 1)])
def test_a_huge_message_ends_it(huge: str | bytes) -> None:
    line, join, _ = greeted(huge, JOIN)
    assert join is None
    assert line.closed is not None
    assert line.closed[0] == Close.TOO_BIG


def test_going_away_before_joining() -> None:
    line, join, _ = greeted(drops=True)
    assert (join, line.closed) == (None, None)
    line, join, _ = greeted({"type": "leave"})
    assert join is None
    assert line.closed == (1000, "you left")


def test_a_refusal_is_told_in_words_and_in_the_code() -> None:
    async def go() -> None:
        line = Line()
        await refuse(await line.accepted(), Close.REFUSED, "name_taken", "take another name")
        assert json.loads(line.got[0]) == {"type": "error", "code": "name_taken", "message": "take another name"}
        assert line.closed == (4403, "take another name")

    run(go())


def test_refusing_somebody_who_takes_nothing_in() -> None:
    async def go() -> None:
        line = Line()
        socket = await line.accepted()
        line.block()
        await refuse(socket, Close.REFUSED, "name_taken", "take another name")
        assert now() == 1.0

    run(go())


def test_a_line_that_breaks_while_we_answer() -> None:
    async def go() -> None:
        for message in (VOICE, "{"):
            line = Line()
            socket = await line.accepted()
            line.break_down()
            line.says(message)
            assert await greet(socket) is None
            assert line.got == []
        line = Line()
        socket = await line.accepted()
        line.break_down()
        await refuse(socket, Close.REFUSED, "name_taken", "take another name")

    run(go())
