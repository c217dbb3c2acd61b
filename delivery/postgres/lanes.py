"""A lane for each room: what waits in one is done together, in order of arrival; lanes do not wait for each other."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from delivery.ledger import LedgerError
from delivery.postgres.trouble import LostError

In = TypeVar("In")
Out = TypeVar("Out")

MAX_TOGETHER = 64
"""Most items done at once: keeps a burst's first answer from waiting for its last."""

MAX_WAITING = 10_000
"""Most items that may wait in one lane."""


@dataclass(eq=False, slots=True)
class _Waiting(Generic[In, Out]):
    item: In
    answer: asyncio.Future[Out]


class Lanes(Generic[In, Out]):
    """`together(room, items)` answers each item with an outcome or an error; what it raises, all of them get.

    `start` runs a coroutine to its end, also when nobody waits for it any more.
    """

    def __init__(
        self,
        start: Callable[[Coroutine[Any, Any, None]], object],
        together: Callable[[str, Sequence[In]], Awaitable[Sequence[Out | Exception]]],
    ) -> None:
        self._start = start
        self._together = together
        self._lanes: dict[str, deque[_Waiting[In, Out]]] = {}

    async def put(self, room: str, item: In) -> Out:
        """The outcome of `item`. Cancelled before its turn, it is not done; later, it is finished all the same."""
        one = _Waiting[In, Out](item, asyncio.get_running_loop().create_future())
        lane = self._lanes.get(room)
        if lane is None:
            self._start(self._drain(room, lane := deque()))
            self._lanes[room] = lane
        if len(lane) >= MAX_WAITING:
            raise LedgerError(f"room {room!r}: {MAX_WAITING} writes wait for the database; ask for less")
        lane.append(one)
        return await one.answer

    async def _drain(self, room: str, lane: deque[_Waiting[In, Out]]) -> None:
        ones: list[_Waiting[In, Out]] = []
        try:
            while lane:
                ones = [lane.popleft() for _ in range(min(MAX_TOGETHER, len(lane)))]
                ones = [one for one in ones if not one.answer.done()]
                outcomes: Sequence[Out | Exception]
                try:
                    outcomes = await self._together(room, [one.item for one in ones])
                except Exception as error:
                    if isinstance(error, LostError):  # whoever still waits would wait as long for the same
                        ones += lane
                        lane.clear()
                    outcomes = [copy.copy(error) for _ in ones]
                for one, outcome in zip(ones, outcomes, strict=True):
                    _settle(one.answer, outcome)
        finally:
            del self._lanes[room]
            # Only when the loop is being torn down is anything left here.
            for one in [*ones, *lane]:
                one.answer.cancel()


def _settle(answer: asyncio.Future[Out], outcome: Out | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
