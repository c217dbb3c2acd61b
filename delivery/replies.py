"""The agent's replies, as a way to be heard: a delivery is folded into one, or comes before one that has not begun.

Sans-I/O, a part of the scheduler. Either way the delivery is spoken without a buffer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from delivery.line import Line
from delivery.pending import Next, Pending
from delivery.signals import Action, Fold
from voice.floor import Blocker, FloorState

FOLDED = 3
"""Most deliveries that are folded into one reply: more is no answer any more."""
FOLDED_CHARS = 600
"""Most characters of content that are folded into one reply, unless it is a single delivery: forty seconds."""


@dataclass(slots=True)
class Replies:
    """What of the `line` is told with the agent's replies."""

    line: Line

    def forgo(self) -> None:
        """A caller took the floor, or nobody hears: nothing is spoken without its buffer any more."""
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

    def over(self, before: FloorState) -> None:
        """The floor is open. What was folded into a reply that never came, or is not ready yet, came too late."""
        for item in self.line.hurried(Next.FOLDED):
            if before is FloorState.AGENT_OWES or not item.ready:
                self.line.hurry(item, None)

    # -- asking for the floor

    def want_floor(self, actions: list[Action]) -> None:
        """A caller's turn is over: what has waited too long comes now, before the reply, and asks for the floor.

        No moment is so surely ours: the caller has just given the floor up. After the reply callers most often speak
        again (a third of the openers collided there, in simulated calls). If the reply begins first, it comes after it.
        """
        item = None if self.line.hurried() or self.line.spoken else self.line.overdue()
        if item is not None:
            self.line.hurry(item, Next.ASKED)
            actions += item.prepare(self.line.now)
