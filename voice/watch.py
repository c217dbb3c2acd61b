"""The watch on a room: drives the floor with what happens, in order, and tells all who listen."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from voice.alarm import Alarm
from voice.channel import Listener
from voice.events import Event
from voice.floor import Floor, FloorAction, FloorChanged, FloorTimes, FloorView

log = logging.getLogger("sottovoce.channel")


class Machine(Protocol):
    """A floor: `voice.floor.Floor`, or one that is used like it."""

    @property
    def view(self) -> FloorView: ...
    def deadline(self) -> float | None: ...
    def handle(self, event: Event, now: float) -> list[FloorAction]: ...
    def expire(self, now: float) -> list[FloorAction]: ...


class Watch:
    """Every event goes to the floor first, then to `react` (the channel's own doing), then to the listeners.

    What an event causes comes after it, also when a listener causes it. `follow` is given what the floor asks for.
    """

    def __init__(
        self,
        times: FloorTimes,
        react: Callable[[Event, FloorView], None],
        follow: Callable[[FloorAction], None],
        *,
        owns_turns: bool = False,
        floor: Machine | None = None,
    ) -> None:
        """`react` is given the event and the floor as it was before it. `owns_turns`: see `Floor`; `floor`: another."""
        self._floor: Machine = floor or Floor(times, owns_turns)
        self._react = react
        self._follow = follow
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._expire)
        self._listeners: list[Listener] = []
        self._events: deque[Event] = deque()
        self._pumping = False

    @property
    def view(self) -> FloorView:
        """The floor as it stands now."""
        return self._floor.view

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` everything from now on, until what is returned is called."""
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop

    def feed(self, event: Event) -> None:
        """Something happened, now."""
        self._events.append(event)
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._events:
                self._take(self._events.popleft())
        finally:
            self._pumping = False
        self._alarm.set(self._floor.deadline())

    def close(self) -> None:
        """Carry out no more timers."""
        self._alarm.set(None)

    def _take(self, event: Event) -> None:
        now = self._loop.time()
        self._overdue(now)
        before = self._floor.view
        actions = self._floor.handle(event, now)
        self._react(event, before)
        self._tell(event, now)
        self._carry_out(actions, now)

    def _expire(self) -> None:
        self._pumping = True
        try:
            self._overdue(self._loop.time())
            while self._events:
                self._take(self._events.popleft())
        finally:
            self._pumping = False
        self._alarm.set(self._floor.deadline())

    def _overdue(self, now: float) -> None:
        """Carry out the floor's timers, each told at its own time."""
        while (due := self._floor.deadline()) is not None and due <= now:
            self._carry_out(self._floor.expire(due), due)

    def _carry_out(self, actions: list[FloorAction], now: float) -> None:
        for action in actions:
            self._follow(action)
            if isinstance(action, FloorChanged):
                self._tell(action, now)

    def _tell(self, event: Event | FloorChanged, now: float) -> None:
        for listener in list(self._listeners):
            try:
                listener(event, now)
            except Exception:
                log.exception("a listener failed on %r", event)
