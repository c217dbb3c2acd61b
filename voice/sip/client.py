"""Transactions that we begin: what is lost is sent again, and every request has an end, answered or not.

RFC 3261 section 17.1, with the state for an accepted INVITE of RFC 6026: an acceptance that comes again, or comes from
another phone, is passed on, as the dialogs acknowledge it. Refusals are acknowledged here.
"""

from __future__ import annotations

from typing import Literal

from voice.sip.fields import CSeq
from voice.sip.message import Headers, Request, Response
from voice.sip.timers import Expired, Repeats, Times
from voice.sip.transaction import Begin, Cancel, Done, Failed, Pass, Received, Send, State

Event = Received | Failed | Cancel | Expired
Action = Send | Pass | Begin | Done


class InviteClient:
    """We call somebody.

    A CANCEL waits until something was heard of the other end (section 9.1), and 64 T1 after it nothing is waited for.
    """

    def __init__(self, request: Request, reliable: bool, times: Times, now: float) -> None:
        """`request` is sent as it is; its branch must be new. `reliable`: it goes over TCP or TLS."""
        self._request = request
        self._reliable = reliable
        self._times = times
        self._end = now + times.b
        self._repeats = None if reliable else Repeats(times.t1, now)
        self._acknowledgement: Request | None = None
        self._cancelled = False
        self.state = State.TRYING

    def begin(self) -> list[Action]:
        """What is done at once."""
        return [Send(self._request)]

    def handle(self, event: Event, now: float) -> list[Action]:
        """Events of a transaction that is over do nothing."""
        match event:
            case Received(Response() as response):
                return self._received(response, now)
            case Expired():
                return self._expired(now)
            case Failed() if self.state in (State.TRYING, State.PROCEEDING):
                return self._done("unsent")
            case Cancel() if not self._cancelled:
                self._cancelled = True
                return self._cancel(now) if self.state is State.PROCEEDING else []
            case _:
                return []

    def deadline(self) -> float | None:
        """When `Expired` is due, in loop seconds."""
        if self.state is State.TERMINATED:
            return None
        return self._end if self._repeats is None else min(self._end, self._repeats.at)

    def _received(self, response: Response, now: float) -> list[Action]:
        if self.state in (State.TRYING, State.PROCEEDING):
            self._repeats = None
            if not response.final:
                return [Pass(response), *self._proceed(now)]
            return self._accepted(response, now) if response.status < 300 else self._refused(response, now)
        if self.state is State.ACCEPTED and 200 <= response.status < 300:
            return [Pass(response)]
        if self.state is State.COMPLETED and response.status >= 300 and self._acknowledgement is not None:
            return [Send(self._acknowledgement)]
        return []

    def _proceed(self, now: float) -> list[Action]:
        first, self.state = self.state is State.TRYING, State.PROCEEDING
        if self._cancelled:
            return self._cancel(now) if first else []
        self._end = now + self._times.c
        return []

    def _cancel(self, now: float) -> list[Action]:
        self._end = now + self._times.b
        return [Begin(cancellation(self._request))]

    def _accepted(self, response: Response, now: float) -> list[Action]:
        self.state = State.ACCEPTED
        self._end = now + self._times.m
        return [Pass(response)]

    def _refused(self, response: Response, now: float) -> list[Action]:
        self._acknowledgement = acknowledgement(self._request, response)
        done: list[Action] = [Send(self._acknowledgement), Pass(response)]
        if self._reliable:
            return done + self._done("finished")
        self.state = State.COMPLETED
        self._end = now + self._times.d
        return done

    def _expired(self, now: float) -> list[Action]:
        if self.state is State.TERMINATED:
            return []
        if now >= self._end:
            return self._done("timeout" if self.state in (State.TRYING, State.PROCEEDING) else "finished")
        if self._repeats is not None and now >= self._repeats.at:
            self._repeats.sent(now)
            return [Send(self._request)]
        return []

    def _done(self, why: Literal["finished", "timeout", "unsent"]) -> list[Action]:
        self.state = State.TERMINATED
        return [Done(why)]


class PlainClient:
    """We want something else than a call."""

    def __init__(self, request: Request, reliable: bool, times: Times, now: float) -> None:
        """`request` is sent as it is; its branch must be new. `reliable`: it goes over TCP or TLS."""
        self._request = request
        self._reliable = reliable
        self._times = times
        self._end = now + times.f
        self._repeats = None if reliable else Repeats(times.t1, now, times.t2)
        self.state = State.TRYING

    def begin(self) -> list[Action]:
        """What is done at once."""
        return [Send(self._request)]

    def handle(self, event: Event, now: float) -> list[Action]:
        """Events of a transaction that is over do nothing."""
        match event:
            case Received(Response() as response) if self._waits:
                return self._received(response, now)
            case Failed() if self._waits:
                return self._done("unsent")
            case Expired() if self.state is not State.TERMINATED:
                return self._expired(now)
            case _:
                return []

    def deadline(self) -> float | None:
        """When `Expired` is due, in loop seconds."""
        if self.state is State.TERMINATED:
            return None
        return self._end if self._repeats is None else min(self._end, self._repeats.at)

    @property
    def _waits(self) -> bool:
        return self.state in (State.TRYING, State.PROCEEDING)

    def _received(self, response: Response, now: float) -> list[Action]:
        if not response.final:
            if self._repeats is not None and self.state is State.TRYING:
                self._repeats.slow(now)
            self.state = State.PROCEEDING
            return [Pass(response)]
        self._repeats = None
        if self._reliable:
            return [Pass(response), *self._done("finished")]
        self.state = State.COMPLETED
        self._end = now + self._times.k
        return [Pass(response)]

    def _expired(self, now: float) -> list[Action]:
        if now >= self._end:
            return self._done("timeout" if self._waits else "finished")
        if self._repeats is not None and now >= self._repeats.at:
            self._repeats.sent(now)
            return [Send(self._request)]
        return []

    def _done(self, why: Literal["finished", "timeout", "unsent"]) -> list[Action]:
        self.state = State.TERMINATED
        return [Done(why)]


def acknowledgement(request: Request, refusal: Response) -> Request:
    """The ACK of a refused INVITE (section 17.1.1.3). An acceptance is acknowledged by its dialog, and otherwise."""
    return _beside(request, "ACK", refusal.headers.all("to"))


def cancellation(request: Request) -> Request:
    """The CANCEL of an INVITE (section 9.1)."""
    return _beside(request, "CANCEL", request.headers.all("to"))


def _beside(request: Request, method: str, to: list[str]) -> Request:
    """A request that goes the way of another: with its topmost Via, and so its branch, alone."""
    fields = [("via", request.headers.items("via")[0])]
    fields += [("route", value) for value in request.headers.all("route")]
    fields += [("from", value) for value in request.headers.all("from")]
    fields += [("to", value) for value in to]
    fields += [("call-id", request.call_id), ("cseq", str(CSeq(request.cseq.sequence, method)))]
    return Request(Headers([*fields, ("max-forwards", "70")]), method=method, uri=request.uri)
