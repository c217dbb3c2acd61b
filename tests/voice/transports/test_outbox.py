from __future__ import annotations

import pytest

from voice.transports import wire
from voice.transports.outbox import MAX_AGENT, MAX_CONTROL, MAX_PANEL, MAX_PEERS, Outbox

FRAME = bytes(640)


def box() -> tuple[Outbox, list[tuple[int, int]]]:
    sent: list[tuple[int, int]] = []
    return Outbox(lambda stream, end: sent.append((stream, end))), sent


def everything(outbox: Outbox) -> list[str | bytes]:
    messages = []
    while (message := outbox.take()) is not None:
        messages.append(message)
    return messages


def kinds(messages: list[str | bytes]) -> list[object]:
    return [m if isinstance(m, str) else wire.HEADER.unpack_from(m)[::3] for m in messages]


def test_sound_and_its_end_leave_in_order_and_control_before_them() -> None:
    outbox, sent = box()
    outbox.panel("panel")
    outbox.agent(1, 0, FRAME)
    outbox.peer(4, 9, FRAME)
    outbox.in_order("finish")
    outbox.urgent("pong")
    assert outbox
    assert kinds(everything(outbox)) == ["pong", (2, 1), (3, 4), "finish", "panel"]
    assert sent == [(1, 320)]
    assert not outbox


def test_only_what_leaves_counts_as_sent() -> None:
    outbox, sent = box()
    for i in range(3):
        outbox.agent(1, 320 * i, FRAME)
    outbox.agent(2, 0, FRAME)
    outbox.take()
    outbox.drop_stream(1)
    assert kinds(everything(outbox)) == [(2, 2)]
    assert sent == [(1, 320), (2, 320)]


def test_peers_and_panel_are_dropped_first() -> None:
    outbox, _ = box()
    outbox.congested = True
    outbox.peer(1, 0, FRAME)
    outbox.panel("x")
    outbox.agent(1, 0, FRAME)
    assert kinds(everything(outbox)) == [(2, 1)]
    assert outbox.lost_panel
    assert not outbox.overflowed


def test_an_old_frame_of_a_peer_makes_room_for_a_new_one() -> None:
    outbox, _ = box()
    for i in range(MAX_PEERS + 3):
        outbox.peer(1, i, FRAME)
    positions = [wire.HEADER.unpack_from(m)[4] for m in everything(outbox) if isinstance(m, bytes)]
    assert positions == list(range(3, MAX_PEERS + 3))


def test_a_panel_that_does_not_fit_is_dropped_whole_until_told_anew() -> None:
    outbox, _ = box()
    half = "x" * (MAX_PANEL // 2 + 1)
    outbox.panel(half)
    outbox.panel(half)
    outbox.panel("more")
    assert everything(outbox) == []
    assert outbox.lost_panel
    outbox.lost_panel = False
    snapshot = "x" * (MAX_PANEL + 1)
    outbox.panel(snapshot)
    assert everything(outbox) == [snapshot]


def test_what_cannot_be_dropped_overflows() -> None:
    outbox, _ = box()
    for i in range(MAX_AGENT):
        outbox.agent(1, 320 * i, FRAME)
    overflowed = [outbox.overflowed]
    outbox.agent(1, 320 * MAX_AGENT, FRAME)
    assert [*overflowed, outbox.overflowed] == [False, True]
    other, _ = box()
    for _ in range(MAX_CONTROL + 1):
        other.urgent("error")
    assert other.overflowed
    assert len(everything(outbox)) == MAX_AGENT


def test_finishes_are_bounded_too() -> None:
    outbox, _ = box()
    for _ in range(MAX_AGENT + MAX_PEERS + MAX_CONTROL + 1):
        outbox.in_order("finish")
    assert outbox.overflowed


def test_what_the_wire_cannot_carry_is_refused_at_once() -> None:
    outbox, _ = box()
    with pytest.raises(ValueError, match="whole"):
        outbox.agent(1, 0, b"odd")
    assert not outbox


def test_last_words() -> None:
    outbox, _ = box()
    outbox.agent(1, 0, FRAME)
    outbox.panel("panel")
    outbox.urgent("error")
    outbox.drop_all_but_urgent()
    assert everything(outbox) == ["error"]
