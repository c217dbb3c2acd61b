from __future__ import annotations

from typing import Any

import pytest

from voice.realtime.session import CallerStarted, ReplyAudio, ReplyEnded, ReplyStarted, ReplyText
from voice.realtime.unread import Unread

REPLY: list[Any] = [ReplyStarted(), ReplyText("One."), ReplyAudio(b"\1\0"), ReplyEnded()]


def rest(unread: Unread) -> list[Any]:
    return [unread.take() for _ in range(len(unread))]


def test_it_is_read_in_order_to_its_end() -> None:
    unread = Unread()
    unread.put(REPLY)
    assert rest(unread) == REPLY
    with pytest.raises(IndexError):
        unread.take()


@pytest.mark.parametrize("read", [0, 4])
def test_where_no_reply_is_read_none_is_cut(read: int) -> None:
    unread = Unread()
    unread.put([*REPLY, *REPLY])
    for _ in range(read):
        unread.take()
    assert not unread.cut()
    assert rest(unread) == [*REPLY, *REPLY][read:]


@pytest.mark.parametrize("read", [1, 2, 3])
def test_what_is_cut_is_what_is_read(read: int) -> None:
    unread = Unread()
    unread.put([*REPLY[:-1], CallerStarted(), ReplyEnded(), *REPLY])
    for _ in range(read):
        unread.take()
    assert not unread.cut()
    assert rest(unread) == [CallerStarted(), ReplyEnded(cut=True), *REPLY]


def test_of_what_has_not_ended_more_may_come() -> None:
    unread = Unread()
    unread.put([*REPLY[:-1], CallerStarted()])
    unread.take()
    assert unread.cut()
    assert rest(unread) == [CallerStarted()]
