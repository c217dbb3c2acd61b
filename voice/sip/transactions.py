"""The table of all SIP transactions: every request is told above once, every answer goes where it belongs.

A request that comes by two ways is refused the second time (RFC 3261 section 8.2.2.2), and a CANCEL is answered here.
Strangers cannot fill it: a source has few transactions at a time, and all together have a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from voice.sip import client, matching, server, transaction, wire
from voice.sip.alarms import Alarms
from voice.sip.client import InviteClient, PlainClient
from voice.sip.matching import Name
from voice.sip.message import Message, Request, Response
from voice.sip.routing import way_back
from voice.sip.server import InviteServer, PlainServer
from voice.sip.timers import Expired, Times
from voice.sip.transaction import Cancel, Received, Respond, State
from voice.sip.wire import Broken, Peer, Unsent


@dataclass(frozen=True, slots=True)
class Limits:
    """How much there may be at a time."""

    total: int = 10_000
    """Transactions that others began; beyond: 503, without one."""
    source: int = 20
    """Transactions of one stranger's address; beyond: silence."""
    retry_after: int = 10
    """Seconds after which whoever got a 503 may try again."""


@dataclass(frozen=True, slots=True)
class Came:
    """A message came in, its topmost Via already completed (`Request.arrived_from`).

    `source` is whose limit counts: a stranger's address (or network); None for those we know.
    """

    message: Message
    peer: Peer
    flow: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Our response to what was `Asked` under this name."""

    id: Name
    response: Response


@dataclass(frozen=True, slots=True)
class Ask:
    """Our request, whose topmost Via has a new branch: that is its name from now on. Not for an ACK."""

    request: Request
    peer: Peer
    flow: int | None = None


@dataclass(frozen=True, slots=True)
class Withdraw:
    """We want no answer to our INVITE any more; it comes all the same, mostly 487."""

    branch: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody wants something of us. `tag` is for the To of the responses: it is the one a CANCEL is answered with."""

    id: Name
    request: Request
    peer: Peer
    flow: int | None
    tag: str


@dataclass(frozen=True, slots=True)
class Acked:
    """An ACK came that is not for a refusal: its dialog knows it, or nobody."""

    request: Request


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Whoever asked this wants no answer any more: it is answered 487. Their CANCEL is answered already."""

    id: Name


@dataclass(frozen=True, slots=True)
class Dropped:
    """What was asked under this name is forgotten: our refusal met with no ACK, or we never answered ("timeout")."""

    id: Name
    why: Literal["timeout", "unacknowledged"]


@dataclass(frozen=True, slots=True)
class Answered:
    """A response to our request came."""

    request: Request
    response: Response


@dataclass(frozen=True, slots=True)
class Failed:
    """Our request will not be answered: 408 as nothing came in time, 503 as it could not be sent (8.1.3.1)."""

    request: Request
    status: Literal[408, 503]


Event = Came | Answer | Ask | Withdraw | Unsent | Broken | Expired
Action = wire.Send | Asked | Acked | Cancelled | Dropped | Answered | Failed


@dataclass(slots=True)
class _Theirs:
    machine: InviteServer | PlainServer
    request: Request
    peer: Peer
    flow: int | None
    source: str | None
    tag: str
    merge: Name | None


@dataclass(slots=True)
class _Ours:
    machine: InviteClient | PlainClient
    request: Request
    peer: Peer
    flow: int | None
    told: bool
    """The layer above asked for it, and hears of it."""


class Transactions:
    """All transactions of an endpoint, and one deadline for them."""

    def __init__(self, new_id: Callable[[], str], times: Times | None = None, limits: Limits | None = None) -> None:
        """`new_id` makes tags that nobody can guess."""
        self._new_id = new_id
        self._times = times or Times()
        self._limits = limits or Limits()
        self._theirs: dict[Name, _Theirs] = {}
        self._ours: dict[Name, _Ours] = {}
        self._merges: dict[Name, Name] = {}
        self._sources: Counter[str] = Counter()
        self._alarms: Alarms[Name] = Alarms()

    def __len__(self) -> int:
        """How many are not yet forgotten, theirs and ours."""
        return len(self._theirs) + len(self._ours)

    def knows(self, request: Request) -> bool:
        """Whether it belongs to a transaction that there is: then it is neither new nor to be asked who sent it."""
        name = "INVITE" if request.method == "CANCEL" else None
        return matching.theirs(request) in self._theirs or matching.theirs(request, name) in self._theirs

    def handle(self, event: Event, now: float) -> list[Action]:
        """Raises ValueError for a request of ours that cannot be one: an ACK, or a branch that is in use."""
        match event:
            case Came(Request() as request):
                return self._request(request, event, now)
            case Came(Response() as response):
                return self._feed(matching.ours(response), Received(response), now)
            case Answer(name, response):
                return self._serve(name, Respond(response), now)
            case Ask(request, peer, flow):
                return self._ask(request, peer, flow, now)
            case Withdraw(branch):
                return self._feed(("ours", branch, "INVITE"), Cancel(), now)
            case Unsent(label):
                branch, _, method = label.rpartition(" ")
                return self._feed(("ours", branch, method), transaction.Failed(), now)
            case Broken(flow):
                return self._broken(flow, now)
            case Expired():
                return self._expired(event, now)
        return []

    def deadline(self) -> float | None:
        """When `Expired` is due, in loop seconds."""
        return self._alarms.next()

    def _expired(self, event: Expired, now: float) -> list[Action]:
        done: list[Action] = []
        for name in self._alarms.due(now):
            done += self._serve(name, event, now) if name in self._theirs else self._feed(name, event, now)
        return done

    def _broken(self, flow: int, now: float) -> list[Action]:
        """What we asked over it has failed; what was asked of us is answered over another (section 18.2.2)."""
        for served in self._theirs.values():
            if served.flow == flow:
                served.flow = None
                served.peer = way_back(served.request, served.peer)
        done: list[Action] = []
        for name in [name for name, asked in self._ours.items() if asked.flow == flow]:
            done += self._feed(name, transaction.Failed(), now)
        return done

    def _request(self, request: Request, came: Came, now: float) -> list[Action]:
        name = matching.theirs(request)
        if name in self._theirs:
            return self._serve(name, Received(request), now)
        if request.method == "ACK":
            return [Acked(request)]
        if came.source is not None and self._sources[came.source] >= self._limits.source:
            return []
        if len(self._theirs) >= self._limits.total:
            retry = ("retry-after", str(self._limits.retry_after))
            refused = request.answer(503, "Service Unavailable", retry, tag=self._new_id())
            return [wire.Send(bytes(refused), came.peer, came.flow)]
        return self._begin(name, request, came, now)

    def _begin(self, name: Name, request: Request, came: Came, now: float) -> list[Action]:
        kind = InviteServer if request.method == "INVITE" else PlainServer
        machine: InviteServer | PlainServer = kind(request, came.peer.reliable, self._times, now)
        merge = matching.merged(request)
        twice = merge in self._merges
        served = _Theirs(
            machine=machine,
            request=request,
            peer=came.peer,
            flow=came.flow,
            source=came.source,
            tag=request.to.tag or self._new_id(),
            merge=None if twice else merge,
        )
        self._theirs[name] = served
        if served.merge is not None:
            self._merges[served.merge] = name
        if served.source is not None:
            self._sources[served.source] += 1
        if twice:
            return self._reply(name, served, 482, "Loop Detected", now)
        if request.method == "CANCEL":
            return self._cancel(name, served, now)
        return self._served(name, served, machine.begin())

    def _cancel(self, name: Name, served: _Theirs, now: float) -> list[Action]:
        """Section 9.2: it is answered here, and withdraws an INVITE that has no answer yet."""
        asked = matching.theirs(served.request, "INVITE")
        if (invite := self._theirs.get(asked)) is None:
            return self._reply(name, served, 481, "Call/Transaction Does Not Exist", now)
        served.tag = invite.tag
        done = self._reply(name, served, 200, "OK", now)
        return [*done, Cancelled(asked)] if invite.machine.state is State.PROCEEDING else done

    def _reply(self, name: Name, served: _Theirs, status: int, reason: str, now: float) -> list[Action]:
        response = served.request.answer(status, reason, tag=served.tag)
        return self._served(name, served, served.machine.handle(Respond(response), now))

    def _serve(self, name: Name, event: server.Event, now: float) -> list[Action]:
        served = self._theirs.get(name)
        return [] if served is None else self._served(name, served, served.machine.handle(event, now))

    def _served(self, name: Name, served: _Theirs, actions: Sequence[server.Action]) -> list[Action]:
        """What a transaction of theirs wants done."""
        self._alarms.set(name, served.machine.deadline())
        done: list[Action] = []
        for action in actions:
            match action:
                case transaction.Send(message):
                    done.append(wire.Send(bytes(message), served.peer, served.flow))
                case transaction.Pass(Request(method="ACK") as request):
                    done.append(Acked(request))
                case transaction.Pass():
                    done.append(Asked(name, served.request, served.peer, served.flow, served.tag))
                case transaction.Done(why):
                    self._forget(name, served)
                    if why == "timeout" or why == "unacknowledged":
                        done.append(Dropped(name, why))
        return done

    def _forget(self, name: Name, served: _Theirs) -> None:
        del self._theirs[name]
        if served.merge is not None:
            del self._merges[served.merge]
        if served.source is not None:
            self._sources[served.source] -= 1
            if not self._sources[served.source]:
                del self._sources[served.source]

    def _ask(self, request: Request, peer: Peer, flow: int | None, now: float, told: bool = True) -> list[Action]:
        name = matching.ours(request)
        if request.method == "ACK" or name in self._ours or not request.via.branch:
            raise ValueError("request: not an ACK, and with a branch in its Via that no other request has")
        kind = InviteClient if request.method == "INVITE" else PlainClient
        machine: InviteClient | PlainClient = kind(request, peer.reliable, self._times, now)
        self._ours[name] = asked = _Ours(machine, request, peer, flow, told)
        return self._fed(name, asked, machine.begin(), now)

    def _feed(self, name: Name, event: client.Event, now: float) -> list[Action]:
        asked = self._ours.get(name)
        return [] if asked is None else self._fed(name, asked, asked.machine.handle(event, now), now)

    def _fed(self, name: Name, asked: _Ours, actions: Sequence[client.Action], now: float) -> list[Action]:
        """What a transaction of ours wants done."""
        self._alarms.set(name, asked.machine.deadline())
        done: list[Action] = []
        for action in actions:
            match action:
                case transaction.Send(message):
                    done.append(wire.Send(bytes(message), asked.peer, asked.flow, " ".join(name[1:])))
                case transaction.Pass(Response() as response) if asked.told:
                    done.append(Answered(asked.request, response))
                case transaction.Begin(request):
                    done += self._ask(request, asked.peer, asked.flow, now, told=False)
                case transaction.Done(why):
                    del self._ours[name]
                    if why != "finished" and asked.told:
                        done.append(Failed(asked.request, 408 if why == "timeout" else 503))
        return done
