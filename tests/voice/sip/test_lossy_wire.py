"""Two tables of transactions, joined by a wire that loses, doubles and overtakes."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.voice.sip.exchange import request
from voice.sip import wire
from voice.sip.fields import CSeq
from voice.sip.message import Headers, Request, parse
from voice.sip.timers import Expired, Times
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
    Transactions,
    Withdraw,
)  # fmt: skip
from voice.sip.wire import Peer

TIMES = Times()
SLOWEST = 0.45
"""Seconds on the wire; shorter than T1, so that nothing arrives after both ends have rightly forgotten it."""
PEERS = (Peer("UDP", "192.0.2.1", 5060), Peer("UDP", "192.0.2.2", 5070))


@dataclass
class Plan:
    """One request: when it is sent, how long it rings, what it is answered, when the caller gives up."""

    method: str
    at: float
    rings: float
    status: int
    gives_up: float = 20.0


@dataclass
class World:
    """Callee 0 and caller 1. The callee sends an acceptance until its ACK comes, as dialogs do."""

    random: Random
    loss: float
    doubling: float
    plans: list[Plan]
    now: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    outcomes: dict[str, list[int]] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    dropped: list[Dropped] = field(default_factory=list)
    ringing: dict[tuple[str, ...], Asked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = count()
        self.tables = [Transactions(lambda: f"tag{next(numbers)}", TIMES) for _ in PEERS]
        self.order = count()
        self.queue: list[tuple[float, int, Any]] = []
        for number, plan in enumerate(self.plans):
            name = str(number)
            self.outcomes[name] = []
            asked = request(plan.method, branch=f"z9hG4bK{name}", call_id=name)
            self.later(plan.at, lambda asked=asked: self.do(1, Ask(asked, PEERS[0])))
            if plan.method == "INVITE":
                gone = Withdraw(f"z9hG4bK{name}")
                self.later(plan.at + plan.gives_up, lambda gone=gone: self.do(1, gone))

    def later(self, at: float, action: Any) -> None:
        heapq.heappush(self.queue, (at, next(self.order), action))

    def run(self) -> None:
        for _ in range(20_000):
            deadlines = [at for table in self.tables if (at := table.deadline()) is not None]
            first = self.queue[0][0] if self.queue else None
            if not deadlines and first is None:
                return
            if first is not None and (not deadlines or first <= min(deadlines)):
                self.now, _, action = heapq.heappop(self.queue)
                action()
            else:
                self.now = min(deadlines)
                end = next(end for end in (0, 1) if self.tables[end].deadline() == self.now)
                self.do(end, Expired())
        raise AssertionError("it does not come to an end")

    def do(self, end: int, event: Any) -> None:
        for action in self.tables[end].handle(event, self.now):
            self.act(end, action)

    def act(self, end: int, action: Action) -> None:
        match action:
            case wire.Send(data):
                self.transmit(end, data)
            case Asked():
                self.ask(action)
            case Cancelled(name):
                ringing = self.ringing.pop(name, None)
                if ringing is not None:
                    self.do(0, Answer(name, ringing.request.answer(487, "Gone", tag=ringing.tag)))
            case Acked(ack):
                self.acknowledged.add(ack.call_id)
            case Answered(asked, response):
                if response.final:
                    self.outcomes[asked.call_id].append(response.status)
                if asked.method == "INVITE" and 200 <= response.status < 300:
                    self.transmit(end, bytes(_acknowledge(asked, response.headers.get("to") or "")))
            case Failed(asked, status):
                self.outcomes[asked.call_id].append(status)
            case Dropped():
                self.dropped.append(action)

    def ask(self, told: Asked) -> None:
        call = told.request.call_id
        self.asked[call] += 1
        plan = self.plans[int(call)]
        self.ringing[told.id] = told
        self.later(self.now + plan.rings, lambda: self.answer(told, plan.status))

    def answer(self, told: Asked, status: int) -> None:
        if self.ringing.pop(told.id, None) is None:
            return
        response = Answer(told.id, told.request.answer(status, "Whatever", tag=told.tag))
        if told.request.method == "INVITE" and status < 300:
            self.accepted.add(told.request.call_id)
            self.accept(response, told.request.call_id, TIMES.t1, self.now + TIMES.h)
        else:
            self.do(0, response)

    def accept(self, answer: Answer, call: str, wait: float, until: float) -> None:
        if call in self.acknowledged or self.now >= until:
            return
        self.do(0, answer)
        self.later(self.now + wait, lambda: self.accept(answer, call, min(2 * wait, TIMES.t2), until))

    def transmit(self, end: int, data: bytes) -> None:
        for _ in range(2 if self.random.random() < self.doubling else 1):
            if self.random.random() >= self.loss:
                came = Came(parse(data), PEERS[end])
                self.later(self.now + self.random.uniform(0.0, SLOWEST), lambda came=came: self.do(1 - end, came))


def _acknowledge(asked: Request, to: str) -> Request:
    """What the caller's dialog does: an ACK with a branch of its own."""
    via = f"SIP/2.0/UDP 192.0.2.2:5070;branch={asked.via.branch}ack"
    fields = [("via", via), ("from", asked.headers.get("from") or ""), ("to", to), ("call-id", asked.call_id)]
    sequence = str(CSeq(asked.cseq.sequence, "ACK"))
    return Request(Headers([*fields, ("cseq", sequence)]), method="ACK", uri=asked.uri)


plans = st.builds(
    Plan,
    method=st.sampled_from(["INVITE", "INVITE", "BYE", "OPTIONS"]),
    at=st.floats(0, 2),
    rings=st.sampled_from([0.0, 0.1, 0.3, 1.0, 3.0]),
    status=st.sampled_from([200, 200, 302, 486]),
    gives_up=st.sampled_from([0.0, 0.2, 1.0, 3.0, 20.0, 20.0, 20.0]),
)
worlds = st.builds(
    World,
    random=st.integers(0, 2**32).map(Random),
    loss=st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0]),
    doubling=st.sampled_from([0.0, 0.3, 1.0]),
    plans=st.lists(plans, min_size=1, max_size=3),
)


@settings(max_examples=60)
@given(worlds)
def test_whatever_the_wire_does_there_is_one_call_each_and_nothing_is_left(world: World) -> None:
    world.run()
    assert [len(table) for table in world.tables] == [0, 0]
    assert [table._sources | table._merges for table in world.tables] == [{}, {}]
    longest = 2 + 3 + 3 * TIMES.b + TIMES.t4  # an INVITE is heard of late, then its CANCEL, and that is remembered
    assert world.now <= longest
    for name, plan in enumerate(world.plans):
        call, told = str(name), world.outcomes[str(name)]
        assert world.asked[call] <= 1
        assert set(told) <= {plan.status, 408, 487}
        assert told
        assert len(set(told)) == 1
        assert len(told) == 1 or (plan.method, told[0]) == ("INVITE", 200)
        if world.loss == 0.0:
            assert world.asked[call] == 1
            assert 487 not in told or plan.gives_up < plan.rings + 2 * SLOWEST
            assert 408 not in told
            assert (call in world.acknowledged) == (call in world.accepted)
    if world.loss == 0.0:
        assert world.dropped == []


def test_a_wire_that_loses_a_fifth_loses_no_call() -> None:
    many = [Plan("INVITE", number / 50, 0.1, (200, 486)[number % 2]) for number in range(100)]
    world = World(Random(6), 0.2, 0.2, many)
    world.run()
    assert all(world.asked[str(name)] == 1 for name in range(100))
    assert all(set(world.outcomes[str(name)]) == {plan.status} for name, plan in enumerate(many))
    assert world.acknowledged == {str(name) for name in range(0, 100, 2)}
    assert [len(table) for table in world.tables] == [0, 0]
