from __future__ import annotations

from itertools import count
from random import Random

import pytest

from tests.voice.sip.exchange import request, response
from tests.voice.sip.mutations import mutated
from voice.sip import wire
from voice.sip.malformed import Malformed
from voice.sip.message import Message, Request, Response, parse
from voice.sip.timers import Expired
from voice.sip.transactions import (
    Acked,
    Action,
    Answer,
    Answered,
    Ask,
    Asked,
    Came,
    Cancelled,
    Dropped,
    Failed,
    Limits,
    Transactions,
    Withdraw,
)  # fmt: skip
from voice.sip.wire import Broken, Peer, Unsent

THERE = Peer("UDP", "192.0.2.2", 5070)
TCP = Peer("TCP", "192.0.2.2", 40_000)
INVITE = request()


def table(limits: Limits | None = None) -> Transactions:
    numbers = count()
    return Transactions(lambda: f"tag{next(numbers)}", limits=limits)


def sent(actions: list[Action]) -> list[Message]:
    return [parse(action.data) for action in actions if isinstance(action, wire.Send)]


def statuses(actions: list[Action]) -> list[int]:
    return [message.status for message in sent(actions) if isinstance(message, Response)]


def asked(actions: list[Action]) -> Asked:
    (found,) = [action for action in actions if isinstance(action, Asked)]
    return found


def run(machine: Transactions, until: float = 10_000.0) -> list[Action]:
    done: list[Action] = []
    while (at := machine.deadline()) is not None and at <= until:
        done += machine.handle(Expired(), at)
    return done


def answer(told: Asked, status: int) -> Answer:
    return Answer(told.id, told.request.answer(status, "Whatever", tag=told.tag))


def test_an_invite_that_comes_again_makes_one_call() -> None:
    machine = table()
    first = machine.handle(Came(INVITE, THERE), 0.0)
    told = asked(first)
    assert statuses(first) == [100]
    assert (told.request, told.peer, told.tag) == (INVITE, THERE, "tag0")
    again = machine.handle(Came(request(), THERE), 0.5)
    assert statuses(again) == [100]
    assert len(again) == 1
    assert statuses(machine.handle(answer(told, 180), 1.0)) == [180]
    (ringing,) = machine.handle(Came(request(), THERE), 1.5)
    assert isinstance(ringing, wire.Send)
    assert (ringing.peer, ringing.branch) == (THERE, "")


def test_an_acknowledgement_of_a_refusal_stays_below_and_that_of_an_acceptance_is_told() -> None:
    machine = table()
    machine.handle(answer(asked(machine.handle(Came(INVITE, THERE), 0.0)), 486), 1.0)
    assert machine.handle(Came(request("ACK", to_tag="tag0"), THERE), 1.1) == []
    ack = request("ACK", branch="z9hG4bKother", to_tag="tag0")
    assert machine.handle(Came(ack, THERE), 1.2) == [Acked(ack)]
    assert run(machine) == []
    assert len(machine) == 0


def test_a_client_without_branches_is_acknowledged_too() -> None:
    machine = table()
    told = asked(machine.handle(Came(request(branch=""), THERE), 0.0))
    machine.handle(answer(told, 200), 1.0)
    ack = request("ACK", branch="", to_tag="tag0")
    assert machine.handle(Came(ack, THERE), 1.1) == [Acked(ack)]


def test_a_refusal_that_nobody_acknowledges_is_told_and_forgotten() -> None:
    machine = table()
    told = asked(machine.handle(Came(INVITE, THERE), 0.0))
    machine.handle(answer(told, 486), 1.0)
    assert run(machine)[-1] == Dropped(told.id, "unacknowledged")
    assert len(machine) == 0


def test_the_same_request_by_another_way_is_refused() -> None:
    machine = table()
    machine.handle(Came(INVITE, THERE), 0.0)
    other = machine.handle(Came(request(branch="z9hG4bK2"), THERE), 0.1)
    assert statuses(other) == [482]
    assert len(other) == 1
    assert machine.handle(Came(request("ACK", branch="z9hG4bK2", to_tag="tag1"), THERE), 0.2) == []
    assert statuses(machine.handle(Came(request(sequence=8, branch="z9hG4bK3"), THERE), 0.3)) == [100]
    run(machine)
    assert asked(machine.handle(Came(request(branch="z9hG4bK4"), THERE), 900.0))


def test_a_cancel_is_answered_and_told_as_long_as_there_is_no_answer() -> None:
    machine = table()
    told = asked(machine.handle(Came(INVITE, THERE), 0.0))
    cancelled = machine.handle(Came(request("CANCEL"), THERE), 1.0)
    (ok,) = sent(cancelled)
    assert isinstance(ok, Response)
    assert (ok.status, ok.to.tag, str(ok.cseq)) == (200, told.tag, "7 CANCEL")
    assert cancelled[1:] == [Cancelled(told.id)]
    again = machine.handle(Came(request("CANCEL"), THERE), 1.5)
    assert sent(again) == [ok]
    assert len(again) == 1
    assert statuses(machine.handle(answer(told, 487), 1.6)) == [487]


@pytest.mark.parametrize("status", [200, 486])
def test_a_cancel_that_comes_too_late_is_answered_and_not_told(status: int) -> None:
    machine = table()
    machine.handle(answer(asked(machine.handle(Came(INVITE, THERE), 0.0)), status), 1.0)
    late = machine.handle(Came(request("CANCEL"), THERE), 1.0)
    assert statuses(late) == [200]
    assert len(late) == 1


def test_a_cancel_of_nothing_is_told_so() -> None:
    assert statuses(table().handle(Came(request("CANCEL"), THERE), 0.0)) == [481]


def test_whoever_is_known_is_not_asked_who_he_is() -> None:
    machine = table()
    assert not machine.knows(INVITE)
    assert not machine.knows(request("CANCEL"))
    machine.handle(Came(INVITE, THERE), 0.0)
    assert machine.knows(INVITE)
    assert machine.knows(request("CANCEL"))
    assert machine.knows(request("ACK", to_tag="tag0"))


def test_a_stranger_has_few_at_a_time_and_others_lose_nothing_by_it() -> None:
    machine = table(Limits(source=2))
    for number in range(4):
        came = Came(request("OPTIONS", branch=f"z9hG4bK{number}", call_id=str(number)), THERE, source="192.0.2.2")
        assert bool(machine.handle(came, 0.0)) is (number < 2)
    assert asked(machine.handle(Came(request("OPTIONS", branch="z9hG4bKx", call_id="x"), THERE, source="b"), 0.0))
    assert asked(machine.handle(Came(request("OPTIONS", branch="z9hG4bKy", call_id="y"), THERE), 0.0))
    run(machine)
    assert asked(machine.handle(Came(request("OPTIONS", branch="z9hG4bKz"), THERE, source="192.0.2.2"), 99.0))


def test_when_there_are_too_many_a_request_is_put_off_and_nothing_kept() -> None:
    machine = table(Limits(total=1))
    machine.handle(Came(INVITE, THERE), 0.0)
    actions = machine.handle(Came(request("BYE", branch="z9hG4bK2"), THERE), 0.0)
    (refused,) = sent(actions)
    assert isinstance(refused, Response)
    assert (refused.status, refused.headers.get("retry-after")) == (503, "10")
    assert refused.to.tag
    assert (len(actions), len(machine)) == (1, 1)
    assert statuses(machine.handle(Came(INVITE, THERE), 0.5)) == [100]


def test_a_response_is_told_with_its_request() -> None:
    machine = table()
    bye = request("BYE", to_tag="b2")
    assert machine.handle(Ask(bye, THERE), 0.0) == [wire.Send(bytes(bye), THERE, None, "z9hG4bK1 BYE")]
    ok = response(bye, 200)
    assert machine.handle(Came(ok, THERE), 0.1) == [Answered(bye, ok)]
    assert machine.handle(Came(ok, THERE), 0.2) == []
    assert machine.handle(Came(response(request("BYE", branch="z9hG4bKstray"), 200), THERE), 0.2) == []
    assert run(machine) == []
    assert len(machine) == 0


def test_what_nobody_answers_is_told() -> None:
    machine = table()
    bye = request("BYE", to_tag="b2")
    machine.handle(Ask(bye, THERE), 0.0)
    assert run(machine)[-1] == Failed(bye, 408)


def test_what_cannot_be_sent_is_told() -> None:
    machine = table()
    (send,) = machine.handle(Ask(INVITE, THERE), 0.0)
    assert isinstance(send, wire.Send)
    assert machine.handle(Unsent(send.branch), 0.1) == [Failed(INVITE, 503)]
    assert machine.handle(Unsent(send.branch), 0.1) == []
    assert machine.handle(Unsent("nothing"), 0.1) == []


def test_our_cancel_is_sent_below_and_only_the_invite_is_told() -> None:
    machine = table()
    machine.handle(Ask(INVITE, THERE), 0.0)
    assert machine.handle(Withdraw("z9hG4bK1"), 0.1) == []
    ringing = response(INVITE, 180)
    told, send = machine.handle(Came(ringing, THERE), 0.2)
    assert told == Answered(INVITE, ringing)
    (cancel,) = sent([send])
    assert isinstance(cancel, Request)
    assert cancel.method == "CANCEL"
    assert machine.handle(Came(response(cancel, 200), THERE), 0.3) == []
    gone = response(INVITE, 487)
    assert Answered(INVITE, gone) in machine.handle(Came(gone, THERE), 0.4)
    assert run(machine) == []
    assert len(machine) == 0


def test_a_cancel_that_nobody_answers_ends_the_invite() -> None:
    machine = table()
    machine.handle(Ask(INVITE, THERE), 0.0)
    machine.handle(Came(response(INVITE, 180), THERE), 0.1)
    machine.handle(Withdraw("z9hG4bK1"), 5.0)
    told = [action for action in run(machine, 37.0) if not isinstance(action, wire.Send)]
    assert told == [Failed(INVITE, 408)]
    assert len(machine) == 0


def test_a_connection_that_breaks_fails_what_we_asked_and_keeps_what_was_asked_of_us() -> None:
    machine = table()
    bye = request("BYE", branch="z9hG4bKours", to_tag="b2")
    machine.handle(Ask(bye, TCP, 3), 0.0)
    told = asked(machine.handle(Came(INVITE, TCP, 3), 0.0))
    assert machine.handle(Broken(3), 1.0) == [Failed(bye, 503)]
    (send,) = machine.handle(answer(told, 200), 2.0)
    assert isinstance(send, wire.Send)
    assert (send.peer, send.flow) == (Peer("TCP", "192.0.2.2", 5070), None)


def test_over_tcp_nothing_is_sent_again() -> None:
    machine = table()
    machine.handle(Ask(INVITE, TCP, 3), 0.0)
    assert run(machine) == [Failed(INVITE, 408)]


@pytest.mark.parametrize("wrong", [request("ACK"), request("BYE", branch=""), request("OPTIONS")])
def test_a_request_that_cannot_be_one_of_ours_is_refused(wrong: Request) -> None:
    machine = table()
    machine.handle(Ask(request("OPTIONS"), THERE), 0.0)
    with pytest.raises(ValueError, match="branch"):
        machine.handle(Ask(wrong, THERE), 0.0)


def test_answers_to_what_is_forgotten_are_not_sent() -> None:
    machine = table()
    told = asked(machine.handle(Came(INVITE, THERE), 0.0))
    run(machine)
    assert machine.handle(answer(told, 200), 999.0) == []


def test_whatever_strangers_send_the_table_keeps_its_limits_and_empties() -> None:
    random, machine = Random(8), table(Limits(total=60, source=5))
    methods = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS")
    good = [bytes(request(method, branch=branch)) for method in methods for branch in ("z9hG4bK1", "")]
    good += [bytes(response(request(), status)) for status in (100, 200, 486)]
    read, most, now = 0, 0, 0.0
    for number in range(1500):
        now += random.choice((0.0, 0.01, 0.3))
        try:
            data = random.choice(good).replace(b"z9hG4bK1", b"z9hG4bK%d" % random.randrange(40))
            data = data.replace(b"call@", b"%d@" % random.randrange(40))
            message = parse(mutated(data, random, good) if random.random() < 0.7 else data)
        except Malformed:
            continue
        read += 1
        peer = random.choice((THERE, TCP))
        told = machine.handle(Came(message, peer, None, f"192.0.2.{number % 20}"), now)
        for action in told:
            if isinstance(action, Asked) and random.random() < 0.5:
                machine.handle(answer(action, random.choice((180, 200, 486))), now)
        if (at := machine.deadline()) is not None and at <= now:
            machine.handle(Expired(), now)
        most = max(most, len(machine))
        assert max(machine._sources.values(), default=0) <= 5
    assert read > 400
    assert most == 60
    run(machine)
    assert (len(machine), machine._sources, machine._merges, len(machine._alarms)) == (0, {}, {}, 0)
