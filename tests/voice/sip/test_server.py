from __future__ import annotations

import pytest

from tests.voice.sip.exchange import request, response
from voice.sip.message import Response
from voice.sip.server import Action, InviteServer, PlainServer
from voice.sip.timers import Expired, Times
from voice.sip.transaction import Done, Pass, Received, Respond, Send

TIMES = Times()
INVITE = request("INVITE")
BYE = request("BYE", to_tag="b2")
OK, RINGING, BUSY = response(INVITE, 200), response(INVITE, 180), response(INVITE, 486)
ACK = request("ACK", to_tag="b2")


def run(machine: InviteServer | PlainServer, until: float) -> list[tuple[float, Action]]:
    """What it does by itself from now on, and when."""
    done: list[tuple[float, Action]] = []
    while (at := machine.deadline()) is not None and at <= until:
        done += [(at, action) for action in machine.handle(Expired(), at)]
    return done


def test_a_caller_hears_at_once_that_we_try() -> None:
    invite = request("INVITE", more="Timestamp: 54\r\n")
    trying, passed = InviteServer(invite, False, TIMES, 0.0).begin()
    assert passed == Pass(invite)
    assert isinstance(trying, Send)
    assert isinstance(trying.message, Response)
    assert (trying.message.status, trying.message.to.tag) == (100, None)
    assert trying.message.headers.get("timestamp") == "54"


def test_an_invite_that_comes_again_gets_the_last_answer_and_is_not_passed_on() -> None:
    machine = InviteServer(INVITE, False, TIMES, 0.0)
    assert machine.handle(Received(INVITE), 0.5) == machine.begin()[:1]
    assert machine.handle(Respond(RINGING), 1.0) == [Send(RINGING)]
    assert machine.handle(Received(INVITE), 1.5) == [Send(RINGING)]
    assert machine.handle(Respond(BUSY), 2.0) == [Send(BUSY)]
    assert machine.handle(Received(INVITE), 2.1) == [Send(BUSY)]


def test_a_refusal_is_sent_until_it_is_acknowledged() -> None:
    machine = InviteServer(INVITE, False, TIMES, 0.0)
    machine.handle(Respond(BUSY), 0.0)
    assert [at for at, _ in run(machine, 12.0)] == [0.5, 1.5, 3.5, 7.5, 11.5]
    assert machine.handle(Received(ACK), 13.0) == []
    assert machine.handle(Received(ACK), 14.0) == []
    assert machine.handle(Received(INVITE), 14.0) == []
    assert run(machine, 100.0) == [(18.0, Done("finished"))]
    assert machine.deadline() is None


def test_a_refusal_that_nobody_acknowledges_is_forgotten() -> None:
    machine = InviteServer(INVITE, False, TIMES, 0.0)
    machine.handle(Respond(BUSY), 1.0)
    assert run(machine, 100.0)[-1] == (33.0, Done("unacknowledged"))


def test_over_tcp_a_refusal_is_sent_once() -> None:
    machine = InviteServer(INVITE, True, TIMES, 0.0)
    machine.handle(Respond(BUSY), 0.0)
    assert run(machine, 31.0) == []
    assert machine.handle(Received(ACK), 31.0) == [Done("finished")]


@pytest.mark.parametrize("reliable", [False, True])
def test_an_accepted_invite_is_known_for_as_long_as_it_may_come_again(reliable: bool) -> None:
    machine = InviteServer(INVITE, reliable, TIMES, 0.0)
    assert machine.handle(Respond(OK), 2.0) == [Send(OK)]
    assert machine.handle(Received(INVITE), 3.0) == []
    assert machine.handle(Respond(OK), 3.0) == [Send(OK)]  # the dialog sends it again
    assert machine.handle(Respond(BUSY), 3.0) == []
    assert machine.handle(Received(ACK), 4.0) == [Pass(ACK)]
    assert run(machine, 100.0) == [(34.0, Done("finished"))]
    assert machine.handle(Respond(OK), 35.0) == []


def test_a_call_that_we_never_answer_is_forgotten() -> None:
    machine = InviteServer(INVITE, False, TIMES, 0.0)
    machine.handle(Respond(RINGING), 60.0)
    assert run(machine, 1000.0) == [(240.0, Done("timeout"))]


def test_another_request_is_answered_again() -> None:
    machine = PlainServer(BYE, False, TIMES, 0.0)
    trying, ok = response(BYE, 100), response(BYE, 200)
    assert machine.begin() == [Pass(BYE)]
    assert machine.handle(Received(BYE), 0.5) == []
    assert machine.handle(Respond(trying), 1.0) == [Send(trying)]
    assert machine.handle(Received(BYE), 1.5) == [Send(trying)]
    assert machine.handle(Respond(ok), 2.0) == [Send(ok)]
    assert machine.handle(Respond(response(BYE, 500)), 2.0) == []
    assert machine.handle(Received(BYE), 2.5) == [Send(ok)]
    assert run(machine, 100.0) == [(34.0, Done("finished"))]
    assert machine.handle(Received(BYE), 35.0) == []


def test_over_tcp_another_request_is_over_with_its_answer() -> None:
    machine = PlainServer(BYE, True, TIMES, 0.0)
    ok = response(BYE, 200)
    assert machine.handle(Respond(ok), 0.0) == [Send(ok), Done("finished")]
    assert machine.deadline() is None


def test_another_request_that_we_never_answer_is_forgotten() -> None:
    assert run(PlainServer(BYE, False, TIMES, 0.0), 100.0) == [(32.0, Done("timeout"))]


def test_a_timer_that_comes_too_early_does_nothing() -> None:
    machine = InviteServer(INVITE, False, TIMES, 0.0)
    machine.handle(Respond(BUSY), 0.0)
    assert machine.handle(Expired(), 0.4) == []
    assert PlainServer(BYE, False, TIMES, 0.0).handle(Expired(), 0.4) == []
