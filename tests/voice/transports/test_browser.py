from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.voice.transports.line import Line
from voice.channel import Caller
from voice.clock import now, run
from voice.leg import FRAME_SAMPLES, Frame, LegEvent, Played
from voice.transports import browser, wire
from voice.transports.browser import BrowserLeg, carry
from voice.transports.outbox import MAX_AGENT
from voice.transports.wire import Close, Kind

FRAME = bytes(640)


def leg(snapshot: dict[str, Any] | None = None, **join: Any) -> BrowserLeg:
    return BrowserLeg(
        Caller("c1", "Ann"), wire.Join("lobby", "Ann", **join), 0.0, None if snapshot is None else lambda: snapshot
    )


def voice(sequence: int) -> bytes:
    return wire.HEADER.pack(Kind.MICROPHONE, 0, 0, 0, sequence) + FRAME


def says(type: str, **fields: Any) -> str:
    return json.dumps({"type": type, **fields})


def sent(leg: BrowserLeg) -> list[Any]:
    """What leaves: control as dicts, sound as (kind, stream, position)."""
    messages: list[Any] = []
    while (message := leg.pop()) is not None:
        header = () if isinstance(message, str) else wire.HEADER.unpack_from(message)
        messages.append(json.loads(message) if isinstance(message, str) else (header[0], *header[3:]))
    return messages


def codes(leg: BrowserLeg) -> list[str]:
    return [m["code"] for m in sent(leg) if isinstance(m, dict) and m["type"] == "error"]


def ended(leg: BrowserLeg) -> Close | None:
    """How the leg was closed; None while it lives."""
    return leg.ending.code if leg.ending else None


def arrived(leg: BrowserLeg) -> list[LegEvent]:
    """What the room gets to read before the leg is over."""

    async def read() -> list[LegEvent]:
        leg.lost()
        return [event async for event in leg.incoming()]

    return run(read())


# What the page sends.


def test_voice_and_receipts_arrive_in_order() -> None:
    caller = leg()
    caller.send(FRAME, stream=1, position=0)
    sent(caller)
    caller.take(voice(0), 0.02)
    caller.take(says("played", stream=1, samples=160), 0.03)
    caller.take(voice(1), 0.04)
    assert arrived(caller) == [Frame(FRAME), Played(1, 160), Frame(FRAME)]
    assert sent(caller) == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "bad_frame"),
        (voice(0) + b"x", "bad_frame"),
        (voice(0)[:-1], "bad_frame"),
        (wire.audio(Kind.AGENT, 1, 0, FRAME), "bad_frame"),
        ("{", "bad_json"),
        ("x" * 5000, "too_big"),
        (says("dance"), "unknown_type"),
        (says("played", stream=9, samples=0), "unknown_stream"),
        (says("played", stream=1, samples=321), "played_beyond"),
        (says("played", stream=1, samples=1, flushed=True), "not_cleared"),
        (says("join", protocol=1, room="lobby", name="Ann"), "already_joined"),
    ],
)
def test_what_makes_no_sense_is_answered_and_ignored(data: str | bytes, code: str) -> None:
    caller = leg()
    caller.send(FRAME, stream=1, position=0)
    sent(caller)
    caller.take(data, 1.0)
    assert codes(caller) == [code]
    assert ended(caller) is None
    caller.take(voice(0), 1.1)
    assert arrived(caller) == [Frame(FRAME)]


def test_a_repeated_or_late_frame_is_ignored() -> None:
    caller = leg()
    for sequence in (0, 1, 1, 0, 2):
        caller.take(voice(sequence), 0.1)
    assert codes(caller) == ["out_of_order", "out_of_order"]
    assert len(arrived(caller)) == 3


def test_too_much_nonsense_ends_the_connection() -> None:
    caller = leg()
    for i in range(30):
        caller.take(b"?", i * 0.01)
    assert ended(caller) is Close.GARBAGE
    assert codes(caller) == ["bad_frame"] * 20 + ["garbage"]


def test_rare_nonsense_does_not() -> None:
    caller = leg()
    for i in range(200):
        caller.take(b"?", i * 1.0)
        caller.pop()
    assert ended(caller) is None


def test_a_message_beyond_the_hard_limit_ends_the_connection() -> None:
    caller = leg()
    caller.take(bytes(wire.MAX_MESSAGE + 1), 1.0)
    assert ended(caller) is Close.TOO_BIG


def test_a_network_that_stood_still_for_five_seconds_is_forgiven() -> None:
    caller = leg()
    for sequence in range(250):
        caller.take(voice(sequence), 5.0)
    assert codes(caller) == []
    assert len(arrived(caller)) == 250


def test_sound_faster_than_real_time_is_dropped_and_then_ends_the_connection() -> None:
    caller = leg()
    complaints = taken = 0
    for sequence in range(3000):
        caller.take(voice(sequence), sequence / 1000)
        taken += 1
        complaints += codes(caller).count("too_fast")
        if caller.ending:
            break
    assert ended(caller) is Close.FLOOD
    assert 500 < taken < 1000
    assert 1 <= complaints <= 2


def test_a_flood_of_small_talk_ends_the_connection() -> None:
    caller = leg()
    for i in range(200):
        caller.take(says("ping", t=i), 1.0)
    assert ended(caller) is Close.FLOOD


def test_a_room_that_does_not_read_loses_the_oldest_sound_and_no_receipts() -> None:
    caller = leg()
    caller.send(FRAME, stream=1, position=0)
    sent(caller)
    caller.take(says("played", stream=1, samples=320), 0.0)
    for sequence in range(2 * browser.MAX_UNREAD):
        caller.take(voice(sequence), sequence * 0.02)
    events = arrived(caller)
    assert len(events) == browser.MAX_UNREAD
    assert events[0] == Played(1, 320)


def test_latency_and_prebuffer_make_the_jitter() -> None:
    caller = leg(prebuffer=0.04, latency=0.02)
    assert caller.jitter == pytest.approx(0.06)
    caller.take(says("audio", prebuffer=0.1, latency=0.05), 1.0)
    assert caller.jitter == pytest.approx(0.15)
    assert caller.receipts


def test_a_ping_is_answered_with_the_rooms_clock() -> None:
    caller = leg()
    caller.take(says("ping", t=4.25), 17.5)
    assert sent(caller) == [{"type": "pong", "t": 4.25, "now": 17.5}]


def test_leaving_is_hanging_up_and_a_broken_line_is_not() -> None:
    left, broke = leg(), leg()
    left.take(says("leave"), 1.0)
    broke.lost()
    assert (left.hung_up, broke.hung_up) == (True, False)
    assert left.ending == browser.Ending(Close.ENDED, "you left")
    left.take(voice(0), 1.1)
    assert arrived(left) == []


@given(st.lists(st.binary(max_size=700) | st.text(max_size=60), max_size=30))
def test_no_garbage_raises(messages: list[str | bytes]) -> None:
    caller = leg()
    for i, data in enumerate(messages):
        caller.take(data, i * 0.02)
    assert [e for e in arrived(caller) if not isinstance(e, Frame)] == []


# What the room sends.


def test_a_stream_goes_out_with_its_end() -> None:
    caller = leg()
    caller.send(FRAME, stream=3, position=0)
    caller.send(FRAME, stream=3, position=320)
    caller.finish(3, 640)
    assert sent(caller) == [(2, 3, 0), (2, 3, 320), {"type": "finish", "stream": 3, "samples": 640}]
    caller.take(says("played", stream=3, samples=640), 0.1)
    assert arrived(caller) == [Played(3, 640)]


def test_clear_overtakes_sound_and_silences_the_stream() -> None:
    caller = leg()
    caller.send(FRAME, stream=1, position=0)
    caller.pop()
    caller.send(FRAME, stream=1, position=320)
    caller.clear(1)
    caller.send(FRAME, stream=1, position=640)
    caller.finish(1, 960)
    caller.clear(1)
    caller.send(FRAME, stream=2, position=0)
    assert sent(caller) == [{"type": "clear", "stream": 1}, (2, 2, 0)]
    caller.take(says("played", stream=1, samples=321, flushed=True), 0.1)
    assert codes(caller) == ["played_beyond"]
    caller.take(says("played", stream=1, samples=300, flushed=True), 0.1)
    assert arrived(caller) == [Played(1, 300, flushed=True)]


def test_an_empty_stream_may_be_receipted() -> None:
    caller = leg()
    caller.finish(5, 0)
    caller.take(says("played", stream=5, samples=0), 0.1)
    assert arrived(caller) == [Played(5, 0)]


def test_other_callers_are_numbered() -> None:
    caller = leg()
    for who in ("ben", "cy", "ben"):
        caller.send_peer(FRAME, who)
    assert sent(caller) == [(3, 1, 0), (3, 2, 0), (3, 1, 1)]


def test_a_panel_message_is_carried_as_it_is() -> None:
    caller = leg()
    caller.send_panel("task", {"id": "t", "at": 1.5})
    assert sent(caller) == [{"type": "panel", "kind": "task", "payload": {"id": "t", "at": 1.5}}]


def test_a_page_that_takes_nothing_is_given_up_and_costs_bounded_memory() -> None:
    caller = leg()
    for i in range(MAX_AGENT):
        caller.send(FRAME, stream=1, position=FRAME_SAMPLES * i)
    assert ended(caller) is None
    caller.send(FRAME, stream=1, position=FRAME_SAMPLES * MAX_AGENT)
    assert ended(caller) is Close.SLOW
    caller.send(FRAME, stream=2, position=0)
    caller.send_peer(FRAME, "ben")
    caller.send_panel("task", {})
    caller.clear(2)
    caller.finish(2, 0)
    assert [m["code"] for m in sent(caller)] == ["slow"]


# Keeping watch.


def test_a_slow_page_loses_panel_and_peers_first_and_is_told_anew() -> None:
    caller = leg(snapshot={"now": 4.0})
    caller.tick(2.0)
    assert sent(caller) == [{"type": "ping", "t": 2.0}]
    for t in (3.0, 4.0, 5.0, 6.0):
        caller.take(voice(int(t)), t)
        caller.tick(t)
    caller.send_panel("task", {})
    caller.send_peer(FRAME, "ben")
    caller.send(FRAME, stream=1, position=0)
    assert sent(caller) == [(2, 1, 0)]
    caller.take(says("pong", t=2.0), 6.5)
    caller.tick(6.6)
    assert sent(caller) == [
        {"type": "ping", "t": 6.6},
    ]
    caller.take(says("pong", t=6.6), 7.0)
    caller.tick(7.1)
    assert sent(caller) == [{"type": "panel", "kind": "snapshot", "payload": {"now": 4.0}}]
    caller.send_panel("task", {})
    assert len(sent(caller)) == 1


def test_a_page_that_never_answers_is_given_up() -> None:
    caller = leg()
    for t in range(1, 14):
        caller.take(voice(t), float(t))
        caller.tick(float(t))
    assert ended(caller) is Close.SLOW


def test_a_page_that_is_not_heard_of_is_given_up() -> None:
    caller = leg()
    caller.take(voice(0), 1.0)
    caller.tick(10.9)
    assert ended(caller) is None
    caller.tick(11.1)
    assert ended(caller) is Close.SILENT
    caller.tick(20.0)


def test_an_answered_ping_is_followed_by_the_next() -> None:
    caller = leg()
    pings = []
    for t in range(1, 30):
        caller.tick(float(t))
        for message in sent(caller):
            pings.append(message["t"])
            caller.take(says("pong", t=message["t"]), t + 0.1)
    assert pings[:3] == [2.0, 4.0, 6.0]
    assert ended(caller) is None


# Over a socket.


def test_messages_are_carried_both_ways() -> None:
    async def call() -> None:
        line, caller = Line(), leg()
        socket = await line.accepted()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(carry(socket, caller))
            line.says(voice(0))
            events = caller.incoming()
            assert await anext(events) == Frame(FRAME)
            caller.send(FRAME, stream=1, position=0)
            await asyncio.sleep(0.01)
            assert line.got == [wire.audio(Kind.AGENT, 1, 0, FRAME)]
            line.says({"type": "leave"})
            assert [event async for event in events] == []
        assert caller.hung_up
        assert line.closed == (1000, "you left")

    run(call())


def test_a_line_that_drops_ends_the_leg_at_once() -> None:
    async def call() -> None:
        line, caller = Line(), leg()
        socket = await line.accepted()
        line.drops()
        await carry(socket, caller)
        assert caller.ending == browser.Ending(None, "the connection ended")
        assert line.closed is None
        assert now() == 0.0

    run(call())


def test_the_reason_is_told_before_closing() -> None:
    async def call() -> None:
        line, caller = Line(), leg()
        socket = await line.accepted()
        caller.send(FRAME, stream=1, position=0)
        caller.close(Close.REPLACED, "you joined elsewhere")
        caller.close(Close.FAILED, "too late")
        await carry(socket, caller)
        assert line.control == [{"type": "error", "code": "replaced", "message": "you joined elsewhere"}]
        assert line.closed == (4409, "you joined elsewhere")

    run(call())


def test_a_page_that_accepts_nothing_is_closed_in_bounded_time() -> None:
    async def call() -> None:
        line, caller = Line(), leg()
        socket = await line.accepted()
        line.block()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(carry(socket, caller))
            for i in range(2 * MAX_AGENT):
                caller.send(FRAME, stream=1, position=FRAME_SAMPLES * i)
                await asyncio.sleep(0)
            assert ended(caller) is Close.SLOW
        assert now() == pytest.approx(2 * browser.LAST_WORDS)

    run(call())


def test_a_half_open_line_is_noticed() -> None:
    async def call() -> None:
        line, caller = Line(), leg()
        socket = await line.accepted()
        await carry(socket, caller)
        assert line.closed is not None
        assert line.closed[0] == Close.SILENT
        assert now() == pytest.approx(browser.SILENT_AFTER + 1.0)

    run(call())


def test_cancelling_carry_ends_the_leg() -> None:
    async def call() -> None:
        line, caller = Line(), leg()
        task = asyncio.create_task(carry(await line.accepted(), caller))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert caller.ending is not None
        assert [event async for event in caller.incoming()] == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(call())


def test_a_socket_that_fails_while_we_write_ends_the_leg() -> None:
    async def call() -> None:
        line, caller = Line(), leg()
        socket = await line.accepted()
        line.break_down()
        caller.send(FRAME, stream=1, position=0)
        await carry(socket, caller)
        assert caller.ending == browser.Ending(None, "the connection ended")

    run(call())


def test_a_socket_that_fails_at_the_last_words_hurts_nobody() -> None:
    async def call() -> None:
        line, caller = Line(), leg()
        socket = await line.accepted()
        line.break_down()
        caller.take(says("leave"), 0.0)
        await carry(socket, caller)
        assert caller.hung_up

    run(call())
