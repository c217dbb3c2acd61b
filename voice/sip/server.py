"""Transactions that others begin: what comes again is answered again, and the layer above sees it once.

RFC 3261 section 17.2, with the state for an accepted INVITE of RFC 6026. An answer that cannot be sent ends nothing
(RFC 6026 section 8.8): what comes again must still be known. An answer that comes too late is not sent.
"""

from __future__ import annotations

from typing import Literal

from voice.sip.message import Request, Response
from voice.sip.timers import Expired, Repeats, Times
from voice.sip.transaction import Done, Pass, Received, Respond, Send, State

Event = Received | Respond | Expired
Action = Send | Pass | Done


class InviteServer:
    """Somebody calls. 100 is sent at once, refusals again until the ACK; acceptances are sent again by the dialog."""

    def __init__(self, request: Request, reliable: bool, times: Times, now: float) -> None:
        """`reliable`: it came over TCP or TLS."""
        self._request = request
        self._reliable = reliable
        self._times = times
        self._repeats: Repeats | None = None
        self._end = now + times.c
        stamps = [("timestamp", value) for value in request.headers.all("timestamp")[:1]]  # section 8.2.6.1
        self._last = request.answer(100, "Trying", *stamps)
        self.state = State.PROCEEDING

    def begin(self) -> list[Action]:
        """What is done at once."""
        return [Send(self._last), Pass(self._request)]

    def handle(self, event: Event, now: float) -> list[Action]:
        """Events of a transaction that is over do nothing."""
        match event:
            case Received(Request() as request):
                return self._acknowledged(request, now) if request.method == "ACK" else self._again()
            case Respond(response):
                return self._respond(response, now)
            case Expired():
                return self._expired(now)
            case _:
                return []

    def deadline(self) -> float | None:
        """When `Expired` is due, in loop seconds."""
        if self.state is State.TERMINATED:
            return None
        return self._end if self._repeats is None else min(self._end, self._repeats.at)

    def _again(self) -> list[Action]:
        return [Send(self._last)] if self.state in (State.PROCEEDING, State.COMPLETED) else []

    def _acknowledged(self, request: Request, now: float) -> list[Action]:
        if self.state is State.ACCEPTED:
            return [Pass(request)]  # of a client that knows no transactions, or gives this ACK the INVITE's branch
        if self.state is not State.COMPLETED:
            return []
        self._repeats = None
        if self._reliable:
            return self._done("finished")
        self.state = State.CONFIRMED
        self._end = now + self._times.i
        return []

    def _respond(self, response: Response, now: float) -> list[Action]:
        accepted = 200 <= response.status < 300
        if self.state is State.ACCEPTED and accepted:
            return [Send(response)]
        if self.state is not State.PROCEEDING:
            return []
        self._last = response
        if not response.final:
            self._end = now + self._times.c
        elif accepted:
            self.state = State.ACCEPTED
            self._end = now + self._times.l
        else:
            self.state = State.COMPLETED
            self._end = now + self._times.h
            self._repeats = None if self._reliable else Repeats(self._times.t1, now, self._times.t2)
        return [Send(response)]

    def _expired(self, now: float) -> list[Action]:
        if self.state is not State.TERMINATED and now >= self._end:
            if self.state is State.PROCEEDING:
                return self._done("timeout")
            return self._done("unacknowledged" if self.state is State.COMPLETED else "finished")
        if self._repeats is not None and now >= self._repeats.at:
            self._repeats.sent(now)
            return [Send(self._last)]
        return []

    def _done(self, why: Literal["finished", "timeout", "unacknowledged"]) -> list[Action]:
        self.state = State.TERMINATED
        self._repeats = None
        return [Done(why)]


class PlainServer:
    """Somebody wants something else than a call. Whoever gets no answer within 64 T1 has stopped waiting for one."""

    def __init__(self, request: Request, reliable: bool, times: Times, now: float) -> None:
        """`reliable`: it came over TCP or TLS."""
        self._request = request
        self._reliable = reliable
        self._times = times
        self._end = now + times.f
        self._last: Response | None = None
        self.state = State.TRYING

    def begin(self) -> list[Action]:
        """What is done at once."""
        return [Pass(self._request)]

    def handle(self, event: Event, now: float) -> list[Action]:
        """Events of a transaction that is over do nothing."""
        if self.state is State.TERMINATED:
            return []
        match event:
            case Received():
                return [] if self._last is None else [Send(self._last)]
            case Respond(response):
                return self._respond(response, now)
            case Expired() if now >= self._end:
                answered = self.state is State.COMPLETED
                self.state = State.TERMINATED
                return [Done("finished" if answered else "timeout")]
            case _:
                return []

    def deadline(self) -> float | None:
        """When `Expired` is due, in loop seconds."""
        return None if self.state is State.TERMINATED else self._end

    def _respond(self, response: Response, now: float) -> list[Action]:
        if self.state is State.COMPLETED:
            return []
        self._last = response
        if not response.final:
            self.state = State.PROCEEDING
            return [Send(response)]
        if self._reliable:
            self.state = State.TERMINATED
            return [Send(response), Done("finished")]
        self.state = State.COMPLETED
        self._end = now + self._times.j
        return [Send(response)]
