"""The whole set of RFC 4475, and thousands of datagrams made from it: nothing else than Malformed ever comes out."""

from __future__ import annotations

import re
import signal
import sys
from random import Random

import pytest

from tests.voice.sip.mutations import mutated
from tests.voice.sip.torture import HERE, Torture, tortures
from voice.sip import sdp
from voice.sip.malformed import Malformed
from voice.sip.message import MAX_HEAD, MAX_MESSAGE, Message, Request, Response, parse
from voice.sip.negotiation import Place, answer
from voice.sip.screening import METHODS, refusal

ALL = tortures()
PLACE = Place("192.0.2.9", 40_000, new_key=bytes)


def swallow(data: bytes) -> Message | None:
    """What the listener does with a datagram, as far as it is built."""
    try:
        message = parse(data)
    except Malformed as malformed:
        if malformed.status not in (400, 505, 513):
            raise
        return None
    assert parse(bytes(message)) == message
    if isinstance(message, Request):
        refused = refusal(message)
        assert refused is None or refused.status in (400, 405, 406, 415, 416, 420, 501)
        response = parse(bytes(message.answer(200, "OK", tag="ours")))
        assert isinstance(response, Response)
        assert response.to.tag
        assert response.call_id == message.call_id
    try:
        bytes(answer(sdp.parse(message.body), PLACE, "1", "1")[0])
    except Malformed as malformed:
        if malformed.status != 488:
            raise
    return message


def test_the_set_is_whole() -> None:
    assert len(ALL) == 49
    assert {path.stem for path in HERE.glob("*.dat")} == {each.name for each in ALL}


@pytest.mark.parametrize("torture", ALL, ids=lambda each: each.name)
def test_what_must_be_done_is_done(torture: Torture) -> None:
    if torture.must in ("refuse", "drop"):
        with pytest.raises(Malformed) as caught:
            parse(torture.data)
        if torture.must == "refuse":
            assert caught.value.status == torture.status
        assert torture.data.startswith(b"SIP/") == (torture.must == "drop")
        return
    message = swallow(torture.data)
    assert message is not None
    if isinstance(message, Request):
        refused = refusal(message, (*METHODS, "REGISTER"))
        assert (refused and refused.status) == torture.status


def test_a_tortuous_invite_is_understood() -> None:
    message = parse((HERE / "wsinv.dat").read_bytes())
    assert isinstance(message, Request)
    assert message.to.tag == "1918181833n"
    assert message.from_.name == 'J Rosenberg \\"'
    assert message.from_.tag == "98asjd8"
    assert (message.cseq.sequence, message.cseq.method) == (9, "INVITE")
    assert message.via.branch == "390skdjuw"
    assert len(message.headers.items("via")) == 3
    assert message.headers.get("newfangledheader") == "newfangled value continued newfangled value"
    contact = message.contact()
    assert contact is not None
    assert contact.name == 'Quoted string ""'
    assert contact.parameters == {"newparam": "newvalue", "secondparam": None, "q": "0.33"}
    _, agreed = answer(sdp.parse(message.body), PLACE, "1", "1")
    assert (agreed.host, agreed.port, agreed.format.codec) == ("192.0.2.4", 49217, sdp.PCMU)


def test_what_stands_behind_a_datagram_is_ignored() -> None:
    message = parse((HERE / "dblreq.dat").read_bytes())
    assert isinstance(message, Request)
    assert (message.method, message.body) == ("REGISTER", b"")


def test_escapes_are_undone_once() -> None:
    message = parse((HERE / "esc01.dat").read_bytes())
    assert isinstance(message, Request)
    assert message.uri.user == "sips:user@example.com"
    assert message.to.uri.user == "user"
    contact = message.contact()
    assert contact is not None
    assert contact.uri.parameters == {"lr": None, "name": "value%41"}


@pytest.mark.parametrize("seed", range(4))
def test_mutated_datagrams_do_no_harm(seed: int) -> None:
    random, data = Random(seed), [each.data for each in ALL]
    read = sum(swallow(mutated(random.choice(data), random, data)) is not None for _ in range(500))
    assert 50 < read < 450  # they are neither all noise nor all harmless


LONG = 23_000
"""Characters; with the rest of the message nearly all that header fields may have together."""
PATIENCE = 0.2
"""Seconds of processor time; honest work takes 0.01, and LONG squared takes more than this."""


@pytest.mark.parametrize(
    ("begin", "piece", "end"),
    [
        ("From: <tel:+", "1", "x>"),
        ("From: <sip:", "a-", "!>"),
        ("From: <sip:", "a.", "!>"),
        ("From: <sip:[", "a:", "!>"),
        ("From: <sip:", "%41", "@"),
        ('From: "', '\\"', ""),
        ('From: "', '" "', ""),
        ("From: ", "a ", "!<"),
        ("From: <sip:a@b>", ";a=b", "="),
        ("From: <sip:a@b>", "<", ""),
        ("From: <sip:a@b>;", " ", "=b"),
        ("Via: SIP/2.0/UDP a", " :", ""),
        ("Via: SIP/2.0/UDP a", " ", "b"),
        ("Via: SIP/2.0/UDP a", ":", "b"),
        ("Via: SIP/2.0/UDP a", ",SIP/2.0/UDP b", ""),
        ("Via: SIP/2.0/UDP a", ',"', ""),
        ("Via: ", "/ ", ""),
        ("CSeq: ", "9", " OPTIONS"),
        ("CSeq: 1", " ", "x OPTIONS"),
        ("Content-Length: ", "9", ""),
        ("X: ", "\r\n ", ""),
        ("X: ", " ", "\r"),
        ("X: a", " ", "b\r\n c"),
        ("X: ", "\t", "\r\n\tx"),
        ("X", " ", ": y"),
        ("X: a\r\n ", "\r", "b"),
    ],
)
def test_a_hostile_line_takes_no_longer_than_it_is(begin: str, piece: str, end: str) -> None:
    line = begin + (piece * LONG)[:LONG] + end
    head = re.sub(rf"(?m)^{begin.partition(':')[0]}: .*\r\n", "", GOOD)
    data = head.replace("\r\n\r\n", f"\r\n{line}\r\n\r\n").encode()
    assert data.index(b"\r\n\r\n") < MAX_HEAD
    assert steps(data) < 100 * steps(GOOD.encode())


GOOD = (
    "OPTIONS sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\nFrom: <sip:b@192.0.2.2>;tag=1\r\n"
    "To: <sip:a@192.0.2.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def give_up(*_: object) -> None:
    raise TimeoutError("it takes far longer than its length")


def steps(data: bytes) -> int:
    """Lines of Python that it takes to swallow it: what a clock would say, without the machine's mood.

    A pattern that backtracks takes one line only: the timer, which counts our own processor time, ends that.
    """
    count = 0

    def trace(frame: object, event: str, _: object) -> object:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        swallow(data)
    finally:
        sys.settrace(before)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    return count


def test_a_message_of_any_size_is_refused_when_it_is_too_large() -> None:
    with pytest.raises(Malformed) as caught:
        parse(GOOD.encode() + bytes(MAX_MESSAGE))
    assert caught.value.status == 513
    with pytest.raises(Malformed):
        parse(GOOD.replace("Call-ID", "X: y\r\n" * 300 + "Call-ID").encode())
