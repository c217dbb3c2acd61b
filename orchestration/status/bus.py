"""The StatusBus: anybody posts, at once and from any thread; whoever wants to know is told soon, or reads it later.

    runtime.status_bus.post(agent_id="researcher", action="search", status="ok", detail="Found 7 results", room="lobby")
    stop = await runtime.status_bus.subscribe(on_status, room="lobby")
    summary = await runtime.status_bus.recent_text(5, room="lobby")

A room's entries are told to nobody who did not ask for that room, or for all of them.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from orchestration.status.backend import StatusBackend, StatusError
from orchestration.status.entry import StatusEntry, StatusLevel, checked
from orchestration.status.filter import ALL_ROOMS, RoomScope, wanted
from orchestration.status.memory import InMemoryStatusBackend
from orchestration.status.prompt import text_of
from orchestration.status.subscriber import Callback, Subscriber
from orchestration.write_behind import MAX_WAITING, WriteBehind
from voice.clock import VirtualLoop, wall_time

log = logging.getLogger("sottovoce.status")

MAX_RECENT = 1_000
"""Most entries that are read at once."""

MAX_CHARS = 100_000
"""Most characters of a text of recent entries."""

MAX_SUBSCRIBERS = 10_000
"""Most subscribers: a few for each room of a process that is full of them."""

CLOCK_EVERY = 60.0
"""Seconds after which the backend is asked again what time it is."""

LAST_LOOK = 2.0
"""Seconds that subscribers, and the backend, still have when the bus is closed."""


class StatusBus:
    """Use as `async with bus:`; a Runtime opens and closes its own. `backend` keeps the entries (None: memory does).

    What is posted before it is open, or after, waits until it is opened; the oldest go when there are too many.
    """

    def __init__(self, backend: StatusBackend | None = None) -> None:
        """Raises TypeError for what is no backend."""
        self.backend = InMemoryStatusBackend() if backend is None else _backend(backend)
        self._mark = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        self._clock: Callable[[], float] = wall_time
        self._offset = 0.0
        self._asked = 0.0
        self._posted: deque[StatusEntry] = deque(maxlen=MAX_WAITING)
        self._lost = 0
        self._woken = False
        self._entered = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._writer: WriteBehind[StatusEntry] | None = None
        self._subscribers: dict[RoomScope, list[Subscriber]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watching = asyncio.Lock()
        self._unwatch: Callable[[], None] | None = None

    # -- life

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def open(self, backend: StatusBackend | None = None) -> None:
        """Open it, from now on with `backend` if one is given. Raises StatusError when it is open already, and what
        the backend raises."""
        if self._entered:
            raise StatusError("the status bus is open already; aclose() it first")
        if backend is not None:
            self.backend = _backend(backend)
        self._entered, self._woken = True, False
        try:
            await self.backend.open()
            try:
                await self._set_clock()
            except BaseException:
                await self.backend.aclose()
                raise
        except BaseException:
            self._entered = False
            raise
        self._watching = asyncio.Lock()
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._writer = WriteBehind("status entries", self.backend.append, between=self._look_at_clock, log=log)
        self._writer.open()
        self._wake()

    async def aclose(self) -> None:
        """Tell and write what was posted, for at most a few seconds; then close the backend."""
        if self._writer is None:
            return
        self._spread()
        writer, self._writer, self._loop = self._writer, None, None
        subscribers = [each for room in self._subscribers.values() for each in room]
        self._subscribers.clear()
        try:
            for each in subscribers:
                each.leave()
            await _end({task for task in self._tasks if task is not asyncio.current_task()}, LAST_LOOK)
            await writer.aclose(LAST_LOOK)
        finally:
            for each in subscribers:
                each.stop()
            writer.stop()
            self._stop_watching()
            self._entered, self._clock, self._offset = False, wall_time, 0.0
            await self.backend.aclose()

    # -- telling

    def post(
        self,
        *,
        agent_id: str,
        action: str,
        status: StatusLevel | str,
        detail: str = "",
        metadata: Mapping[str, Any] | None = None,
        room: str | None = None,
    ) -> StatusEntry:
        """Tell of something, from any thread. Returns at once; whatever is wrong with those who read or keep it.

        `metadata` is JSON for programs; `room` is where it happened. Raises ValueError naming the field that is wrong.
        """
        entry = checked(
            agent_id=agent_id,
            action=action,
            status=status,
            detail=detail,
            metadata=metadata,
            room=room,
            timestamp=max(0.0, self._clock() + self._offset),
            id=f"{self._mark}-{next(self._numbers)}",
        )
        if len(self._posted) >= MAX_WAITING:
            self._lost += 1
        self._posted.append(entry)
        self._wake()
        return entry

    async def subscribe(
        self,
        callback: Callback,
        *,
        room: RoomScope = None,
        agent_id: str | None = None,
        action: str | None = None,
        status: StatusLevel | str | None = None,
    ) -> Callable[[], None]:
        """Call `callback(entry)`, plain or async, with each entry from now on, of any process. Returns what stops it.

        `room`: of that room; None: of no room; ALL_ROOMS: of all. A subscriber is told one entry after the other, in a
        task of its own; one that fails, dawdles (10 s) or falls behind (1,000 entries) is logged and misses entries.
        It is stopped when the bus is closed. Raises TypeError for what is no function, ValueError naming the field that
        is wrong, StatusError when the bus is not open or has too many, and what the backend raises.
        """
        if not callable(callback):
            raise TypeError(f"callback: {callback!r} is no function; give one of (entry)")
        chosen = wanted(room, agent_id, action, status)
        async with self._watching:
            self._check_open()
            if sum(map(len, self._subscribers.values())) >= MAX_SUBSCRIBERS:
                raise StatusError(f"the status bus has {MAX_SUBSCRIBERS} subscribers; stop those that are not needed")
            if self._unwatch is None:
                unwatch = await self.backend.watch(self._tell)
                if self._writer is None:
                    unwatch()
                    self._check_open()
                self._unwatch = unwatch
            self._spread()  # what was posted before is not for this one
            subscriber = Subscriber(callback, chosen)
            self._subscribers.setdefault(chosen.room, []).append(subscriber)
        self._tasks.add(subscriber.task)
        subscriber.task.add_done_callback(self._tasks.discard)

        def stop() -> None:
            subscriber.stop()
            there = self._subscribers.get(chosen.room, [])
            if subscriber in there:
                there.remove(subscriber)
                if not there:
                    del self._subscribers[chosen.room]
            if not self._subscribers and not self._watching.locked():
                self._stop_watching()

        return stop

    # -- reading

    async def recent(
        self,
        n: int = 10,
        *,
        room: RoomScope = None,
        agent_id: str | None = None,
        action: str | None = None,
        status: StatusLevel | str | None = None,
    ) -> list[StatusEntry]:
        """The last `n` entries (1 to 1,000), oldest first, of all processes: also those that are not written yet.

        `room`: of that room; None: of no room; ALL_ROOMS: of all. Raises ValueError naming the field that is wrong,
        StatusError when the bus is not open, and what the backend raises (LedgerError).
        """
        _whole("n", n, MAX_RECENT)
        chosen = wanted(room, agent_id, action, status)
        writer = self._check_open()
        self._spread()
        ahead = [entry for entry in writer.unwritten if chosen.matches(entry)]
        found = await self.backend.recent(n, chosen)
        known = {entry.id for entry in found}
        # They are written in order, perhaps some just now: what comes before one that was found is written, too.
        written = max((place for place, entry in enumerate(ahead) if entry.id in known), default=-1)
        return [*found, *ahead[written + 1 :]][-n:]

    async def recent_text(
        self,
        n: int = 10,
        *,
        room: RoomScope = None,
        agent_id: str | None = None,
        action: str | None = None,
        status: StatusLevel | str | None = None,
        max_chars: int = 2_000,
    ) -> str:
        """What `recent` returns as text for a prompt, at most `max_chars` characters: a line each, the oldest go first.

        `[14:32:07] researcher: search → ok | Found 7 results`, the time of day in UTC. Each entry is one line, whatever
        is in it; what is invisible is left out, and nothing in it looks like a tag. Raises what `recent` raises.
        """
        _whole("max_chars", max_chars, MAX_CHARS)
        return text_of(await self.recent(n, room=room, agent_id=agent_id, action=action, status=status), max_chars)

    # -- inside

    def _check_open(self) -> WriteBehind[StatusEntry]:
        if self._writer is None:
            raise StatusError("the status bus is not open; use `async with runtime`, or `async with bus`")
        return self._writer

    def _wake(self) -> None:
        """Have `_spread` run soon in the loop. In any thread."""
        loop = self._loop
        if loop is None or self._woken:
            return
        self._woken = True
        try:
            if threading.get_ident() == self._thread:
                loop.call_soon(self._spread)
            else:
                loop.call_soon_threadsafe(self._spread)
        except RuntimeError:
            self._woken = False
            if not loop.is_closed():  # a closed loop has nobody to be told
                raise

    def _spread(self) -> None:
        """Hand on what was posted, to subscribers and to the writer."""
        self._woken = False
        if self._writer is None:
            return
        entries = [self._posted.popleft() for _ in range(len(self._posted))]
        lost, self._lost = self._lost, 0
        if lost:
            log.warning("%d status entries were posted faster than they could be told, and are lost", lost)
        self._writer.put(entries)
        self._tell(entries)

    def _tell(self, entries: Sequence[StatusEntry]) -> None:
        for entry in entries:
            for scope in (entry.room, ALL_ROOMS):
                for subscriber in self._subscribers.get(scope, ()):
                    subscriber.put(entry)

    async def _look_at_clock(self) -> None:
        if asyncio.get_running_loop().time() >= self._asked + CLOCK_EVERY:
            await self._set_clock()

    async def _set_clock(self) -> None:
        """Go by the backend's clock, if it has one; else by this machine's, or by a virtual loop's."""
        loop = asyncio.get_running_loop()
        local = loop.time if isinstance(loop, VirtualLoop) else wall_time
        self._asked = loop.time()
        theirs = await self.backend.clock()
        self._clock, self._offset = local, 0.0 if theirs is None else theirs - local()

    def _stop_watching(self) -> None:
        unwatch, self._unwatch = self._unwatch, None
        if unwatch is not None:
            unwatch()


def _backend(it: object) -> StatusBackend:
    """Raises TypeError when it is no backend."""
    if not isinstance(it, StatusBackend):
        raise TypeError(f"backend: {it!r} is no StatusBackend, like InMemoryStatusBackend()")
    return it


def _whole(field: str, value: object, most: int) -> None:
    """Raises ValueError naming the field."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ValueError(f"{field} must be a whole number, 1 to {most}, not {value!r:.100}")


async def _end(tasks: set[asyncio.Task[None]], seconds: float) -> None:
    """Wait for the tasks; those that are not over after `seconds` are broken off."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=seconds)
    for task in late:
        log.warning("%s did not end within %g s and is broken off", task.get_name(), seconds)
        task.cancel()
