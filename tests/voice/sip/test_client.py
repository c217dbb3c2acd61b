from __future__ import annotations

import pytest

from tests.voice.sip.exchange import request, response
from voice.sip.client import Action, InviteClient, PlainClient
from voice.sip.message import Request
from voice.sip.timers import Expired, Times
from voice.sip.transaction import Begin, Cancel, Done, Failed, Pass, Received, Send

TIMES = Times()
INVITE = request("INVITE", more="Route: <sip:one.example.org;lr>, <sip:two.example.org;lr>\r\nSubject: x\r\n")
BYE = request("BYE", to_tag="b2")
TRYING, RINGING, OK, BUSY = (response(INVITE, status) for status in (100, 180, 200, 486))


def run(machine: InviteClient | PlainClient, until: float) -> list[tuple[float, Action]]:
    """What it does by itself from now on, and when."""
    done: list[tuple[float, Action]] = []
    while (at := machine.deadline()) is not None and at <= until:
        done += [(at, action) for action in machine.handle(Expired(), at)]
    return done


def sent(actions: list[Action]) -> list[Request]:
    return [action.message for action in actions if isinstance(action, Send) and isinstance(action.message, Request)]


def test_an_invite_is_sent_ever_more_seldom_and_then_given_up() -> None:
    machine = InviteClient(INVITE, False, TIMES, 0.0)
    assert machine.begin() == [Send(INVITE)]
    done = run(machine, 1000.0)
    assert [at for at, action in done if action == Send(INVITE)] == [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert done[-1] == (32.0, Done("timeout"))


def test_over_tcp_an_invite_is_sent_once() -> None:
    assert run(InviteClient(INVITE, True, TIMES, 0.0), 1000.0) == [(32.0, Done("timeout"))]


def test_an_invite_that_rings_is_not_sent_again() -> None:
    machine = InviteClient(INVITE, False, TIMES, 0.0)
    assert machine.handle(Received(TRYING), 0.1) == [Pass(TRYING)]
    assert machine.handle(Received(RINGING), 100.0) == [Pass(RINGING)]
    assert run(machine, 1000.0) == [(280.0, Done("timeout"))]


def test_a_refusal_is_acknowledged_as_often_as_it_comes_and_passed_on_once() -> None:
    machine = InviteClient(INVITE, False, TIMES, 0.0)
    actions = machine.handle(Received(BUSY), 1.0)
    (ack,) = sent(actions)
    assert actions[1] == Pass(BUSY)
    assert machine.handle(Received(BUSY), 1.5) == [Send(ack)]
    assert machine.handle(Received(OK), 1.6) == []
    assert run(machine, 1000.0) == [(33.0, Done("finished"))]
    assert machine.handle(Received(BUSY), 40.0) == []


def test_an_acknowledgement_goes_the_way_of_its_invite() -> None:
    (ack,) = sent(InviteClient(INVITE, False, TIMES, 0.0).handle(Received(BUSY), 1.0))
    assert (ack.method, str(ack.uri), ack.via.branch, str(ack.cseq)) == ("ACK", str(INVITE.uri), "z9hG4bK1", "7 ACK")
    assert (ack.to.tag, ack.from_.tag, ack.call_id) == ("b2", "a1", INVITE.call_id)
    assert ack.headers.all("route") == INVITE.headers.all("route")
    assert len(ack.headers.items("via")) == 1
    assert ack.headers.get("subject") is None


def test_over_tcp_a_refusal_ends_it() -> None:
    machine = InviteClient(INVITE, True, TIMES, 0.0)
    assert machine.handle(Received(BUSY), 1.0)[1:] == [Pass(BUSY), Done("finished")]


def test_acceptances_are_passed_on_all() -> None:
    machine = InviteClient(INVITE, False, TIMES, 0.0)
    other = response(INVITE, 200, tag="c3")
    assert machine.handle(Received(OK), 1.0) == [Pass(OK)]
    assert machine.handle(Received(other), 2.0) == [Pass(other)]
    assert machine.handle(Received(OK), 3.0) == [Pass(OK)]
    assert machine.handle(Received(RINGING), 3.0) == []
    assert machine.handle(Received(BUSY), 3.0) == []
    assert machine.handle(Failed(), 3.0) == []
    assert run(machine, 1000.0) == [(33.0, Done("finished"))]


def test_a_cancel_waits_until_something_was_heard() -> None:
    machine = InviteClient(INVITE, False, TIMES, 0.0)
    assert machine.handle(Cancel(), 0.1) == []
    passed, begun = machine.handle(Received(TRYING), 0.2)
    assert passed == Pass(TRYING)
    assert isinstance(begun, Begin)
    cancel = begun.request
    assert (cancel.method, cancel.via.branch, str(cancel.cseq)) == ("CANCEL", "z9hG4bK1", "7 CANCEL")
    assert (cancel.to.tag, cancel.headers.all("route")) == (None, INVITE.headers.all("route"))
    assert machine.handle(Received(RINGING), 0.3) == [Pass(RINGING)]
    assert machine.handle(Cancel(), 0.4) == []
    assert run(machine, 1000.0) == [(32.2, Done("timeout"))]


def test_an_invite_that_rings_is_cancelled_at_once() -> None:
    machine = InviteClient(INVITE, False, TIMES, 0.0)
    machine.handle(Received(RINGING), 0.1)
    assert [type(action) for action in machine.handle(Cancel(), 5.0)] == [Begin]
    assert machine.deadline() == 37.0


def test_a_cancel_that_comes_too_late_is_none() -> None:
    machine = InviteClient(INVITE, False, TIMES, 0.0)
    machine.handle(Received(OK), 0.1)
    assert machine.handle(Cancel(), 0.2) == []


@pytest.mark.parametrize("kind", [InviteClient, PlainClient])
def test_what_cannot_be_sent_is_over(kind: type[InviteClient | PlainClient]) -> None:
    machine = kind(INVITE, False, TIMES, 0.0)
    assert machine.handle(Failed(), 0.1) == [Done("unsent")]
    assert machine.deadline() is None
    assert machine.handle(Expired(), 99.0) == []


def test_another_request_is_sent_until_it_is_answered_or_given_up() -> None:
    machine = PlainClient(BYE, False, TIMES, 0.0)
    done = run(machine, 1000.0)
    times = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert done == [*((at, Send(BYE)) for at in times), (32.0, Done("timeout"))]


def test_another_request_that_is_tried_is_sent_seldom() -> None:
    machine = PlainClient(BYE, False, TIMES, 0.0)
    machine.handle(Received(response(BYE, 100)), 0.1)
    machine.handle(Received(response(BYE, 100)), 2.0)  # a second one puts nothing off
    assert [round(at, 3) for at, _ in run(machine, 9.0)] == [4.1, 8.1]


def test_an_answer_is_passed_on_once() -> None:
    machine = PlainClient(BYE, False, TIMES, 0.0)
    ok = response(BYE, 200)
    assert machine.handle(Received(ok), 1.0) == [Pass(ok)]
    assert machine.handle(Received(ok), 2.0) == []
    assert machine.handle(Failed(), 2.0) == []
    assert run(machine, 1000.0) == [(6.0, Done("finished"))]


def test_over_tcp_an_answer_ends_it() -> None:
    machine = PlainClient(BYE, True, TIMES, 0.0)
    ok = response(BYE, 200)
    assert machine.handle(Received(ok), 1.0) == [Pass(ok), Done("finished")]
