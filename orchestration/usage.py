"""Usage: what models cost, in tokens and US dollars, summed by room, agent and model.

Whatever a model's stream tells of its cost is charged to the tab of what is going on: an answer, a task, a route. That
is known by context, so no model and no strategy need know of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from typing import Any

from orchestration.models.model import Usage

MAX_ROOMS = 10_000
"""Rooms whose sums are kept apart; those that have been without a request for longest go first, into the total."""
MAX_KINDS = 200
"""Agents and models that a room's sums, or the total's, are kept apart by; more are summed as OTHERS."""
OTHERS = "others"
_TOKENS = ("input", "output", "cache_read", "cache_write")


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens. `cache_write_hour`: of what is cached for an hour. A request whose prompt has more
    than `beyond` tokens costs `times` as much."""

    input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_hour: float | None = None
    beyond: int | None = None
    times: float = 1.0

    def of(self, usage: Usage, *, hour: bool = False) -> float:
        """What this costs; `hour`: what it cached is kept for an hour."""
        write = self.cache_write_hour if hour and self.cache_write_hour is not None else self.cache_write
        cost = usage.input * self.input + usage.output * self.output
        cost += usage.cache_read * self.cache_read + usage.cache_write * write
        prompt = usage.input + usage.cache_read + usage.cache_write
        dear = self.beyond is not None and prompt > self.beyond
        return cost * (self.times if dear else 1.0) / 1e6


@dataclass(slots=True)
class Sum:
    """Of requests. `cost` in US dollars, of those whose price is known; `unpriced` counts the others."""

    requests: int = 0
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: float = 0.0
    unpriced: int = 0

    def add(self, usage: Usage) -> None:
        """One request more."""
        self.requests += 1
        self._tokens(usage)
        if usage.cost is None:
            self.unpriced += 1
        else:
            self.cost += usage.cost

    def merge(self, other: Sum) -> None:
        """The requests of another sum, too."""
        self.requests += other.requests
        self._tokens(other)
        self.cost += other.cost
        self.unpriced += other.unpriced

    def _tokens(self, more: Usage | Sum) -> None:
        self.input += more.input
        self.output += more.output
        self.cache_read += more.cache_read
        self.cache_write += more.cache_write

    def written(self) -> dict[str, Any]:
        """As JSON. `cost` is None where no request has a known price."""
        known = self.unpriced < self.requests
        tokens = {name: getattr(self, name) for name in _TOKENS}
        cost = round(self.cost, 9) if known else None
        return {"requests": self.requests, **tokens, "cost": cost, "unpriced": self.unpriced}


@dataclass(slots=True)
class Sums:
    """In total, by model, and by agent (""; none: a router, say, or a worker that is no agent)."""

    total: Sum = field(default_factory=Sum)
    models: dict[str, Sum] = field(default_factory=dict)
    agents: dict[str, Sum] = field(default_factory=dict)

    def add(self, agent: str, usage: Usage) -> None:
        """One request more."""
        self.total.add(usage)
        _of(self.models, usage.model).add(usage)
        _of(self.agents, agent).add(usage)

    def merge(self, other: Sums) -> None:
        """All of another, too."""
        self.total.merge(other.total)
        for mine, theirs in ((self.models, other.models), (self.agents, other.agents)):
            for name, each in theirs.items():
                _of(mine, name).merge(each)

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **self.total.written(),
            "models": {name: each.written() for name, each in self.models.items()},
            "agents": {name: each.written() for name, each in self.agents.items()},
        }


def _of(sums: dict[str, Sum], name: str) -> Sum:
    """The sum of that name, or of the OTHERS."""
    if name not in sums and len(sums) >= MAX_KINDS:
        name = OTHERS
    return sums.setdefault(name, Sum())


class Meter:
    """A runtime's. One request costs it a few additions, however many there were."""

    def __init__(self) -> None:
        self._rooms: dict[str, Sums] = {}
        self._gone = Sums()

    def add(self, room: str, agent: str, usage: Usage) -> None:
        """A request was made for a room."""
        sums = self._rooms.pop(room, None)
        if sums is None:
            sums = Sums()
            if len(self._rooms) >= MAX_ROOMS:
                self.forget(next(iter(self._rooms)))
        self._rooms[room] = sums  # last: it is the newest
        sums.add(agent, usage)

    def forget(self, room: str) -> None:
        """The room is gone: its sums go into the total."""
        if sums := self._rooms.pop(room, None):
            self._gone.merge(sums)

    def room(self, room: str) -> Sums:
        """Of one room since it was made here."""
        return self._rooms.get(room) or Sums()

    def total(self) -> Sums:
        """Of all rooms, those that are gone included."""
        total = Sums()
        total.merge(self._gone)
        for sums in self._rooms.values():
            total.merge(sums)
        return total

    @property
    def rooms(self) -> Mapping[str, Sums]:
        """Those that are kept apart."""
        return self._rooms


class Tab:
    """What one answer, task or route costs; it goes to the room's sums at once. `agent` says who has the word."""

    def __init__(self, meter: Meter, room: str, agent: Callable[[], str] = str) -> None:
        self._meter, self._room, self._agent = meter, room, agent
        self._instead: Tab | None = None
        self.sums = Sums()

    def pass_on(self, to: Tab) -> None:
        """From now on what is put on it is put on this one instead."""
        self._instead = to

    def add(self, usage: Usage, agent: str | None = None) -> None:
        """A request was made, for this agent."""
        if self._instead is not None:
            self._instead.add(usage, agent)
            return
        who = self._agent() if agent is None else agent
        self.sums.add(who, usage)
        self._meter.add(self._room, who, usage)


_TAB: ContextVar[Tab | None] = ContextVar("sottovoce_tab", default=None)


def charge_to(tab: Tab | None) -> None:
    """From now on what models cost in this task, and in those that it starts, is put on this tab."""
    _TAB.set(tab)


def tab_of(context: Context | None = None) -> Tab | None:
    """The tab on which is put what models cost in a context (None: the present one)."""
    return _TAB.get() if context is None else context.get(_TAB)


@contextmanager
def charging(tab: Tab) -> Iterator[None]:
    """What models cost in this block is put on this tab."""
    before = _TAB.set(tab)
    try:
        yield
    finally:
        _TAB.reset(before)


def charge(usage: Usage, agent: str | None = None) -> None:
    """A request was made, for this agent (None: who has the word). Where nobody keeps a tab it is not counted."""
    if tab := _TAB.get():
        tab.add(usage, agent)
