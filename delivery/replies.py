"""The agent's replies, as a way to be heard: a delivery is folded into one, or the agent asks for the floor after one.

Sans-I/O, a part of the scheduler. Either way the delivery is spoken as soon as the floor opens, without a buffer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from delivery.line import Line
from delivery.pending import Next, Pending
from delivery.signals import Action, Ask, Fold
from voice.floor import Blocker, FloorState

PATIENCE = 1.2
"""Seconds after the end of a caller's turn for which an opener lets the reply begin, so as to come after it: by then
most replies have (the industry's bar: 0.8 s at p50, 1.2 s at p95)."""
FOLDED = 3
"""Most deliveries that are folded into one reply: more is no answer any more."""
FOLDED_CHARS = 600
"""Most characters of content that are folded into one reply, unless it is a single delivery: forty seconds."""


@dataclass(slots=True)
class Replies:
    """`asking`: for this one the agent is about to ask for the floor."""

    line: Line
    asking: Pending | None = None

    def deadline(self) -> float | None:
        """When to look again, if nothing happens before."""
        floor = self.line.floor
        return floor.since + PATIENCE if self.asking and floor.blocker is Blocker.REPLY else None

    def forgo(self) -> None:
        """A caller took the floor, or nobody hears: nothing is spoken without its buffer any more."""
        self.asking = None
        for item in self.line.hurried():
            self.line.hurry(item, None)

    # -- folding

    def offer(self, item: Pending, actions: list[Action]) -> None:
        """It came while a reply is owed: it may go into that, unless there is more than a caller takes for an answer.

        What waited before waits on: the caller spoke, and may want to speak again after the reply.
        """
        if self.line.floor.blocker is not Blocker.REPLY or not item.foldable or not self.line.would(item):
            return
        there = self.line.hurried()
        chars = sum(len(i.delivery.content) for i in (*there, item))
        if item not in there and len(there) < FOLDED and (not there or chars <= FOLDED_CHARS):
            actions.append(Fold((item.delivery,)))

    def answer(self, items: Iterable[Pending], taken: bool, actions: list[Action]) -> None:
        """The agent takes them into its reply, if that is not over by now, or it does not."""
        if not taken or self.line.floor.state not in (FloorState.AGENT_OWES, FloorState.AGENT_AUDIBLE):
            return
        for item in items:
            self.line.hurry(item, Next.FOLDED)
            actions += item.prepare(self.line.now)

    def failed(self, item: Pending) -> None:
        """The reply into which the agent took it failed: it waits like any other."""
        if item.next is Next.FOLDED:
            self.line.hurry(item, None)

    def over(self, before: FloorState, actions: list[Action]) -> None:
        """The floor is open. What was folded into a reply that never came, or is not ready yet, came too late."""
        for item in self.line.hurried(Next.FOLDED):
            if before is FloorState.AGENT_OWES or not item.ready:
                self.line.hurry(item, None)
        if self.asking is not None:
            self._ask(actions)

    # -- asking for the floor

    def want_floor(self, actions: list[Action]) -> None:
        """A caller's turn is over: if something has waited too long, ask, after the reply if that comes soon."""
        item = None if self.line.hurried() else self.line.overdue()
        if item is not None:
            self.asking = item
            self.line.hurry(item, Next.ASKED)
            actions += item.prepare(self.line.now)

    def pass_time(self, actions: list[Action]) -> None:
        """If the reply has not begun in time, the opener comes before it."""
        due = self.deadline()
        if due is not None and due <= self.line.now:
            self._ask(actions, first=True)

    def _ask(self, actions: list[Action], *, first: bool = False) -> None:
        """Unless what the floor is wanted for is gone, or spoken."""
        item, self.asking = self.asking, None
        if item is not None and item.next is Next.ASKED:
            actions.append(Ask(first))
