"""A troupe that gives a play: what its doubles draw next, and its account of what was asked, said and handed over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.asked import current
from orchestration.event import RoomEvent
from orchestration.models.model import Message, Role
from orchestration.models.scripted import RESULT as FENCED
from tests.orchestration.plays.play import Play
from voice.clock import now
from voice.events import Turn
from voice.simulated import SimulatedChannel


class Planned(Exception):  # noqa: N818 - a double raises it on purpose
    """What the doubles raise."""


@dataclass
class Asked:
    """A turn, as it was let into the room."""

    id: str
    caller: str
    text: str
    holder: str | None
    at: float


@dataclass
class Said:
    """An utterance of a channel's."""

    utterance: Any
    reply_to: Turn | None
    channel: SimulatedChannel


class Troupe:
    """One play: what is drawn for the doubles, and the account."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.turns = 0
        self.asked: dict[str, Asked] = {}
        self.refused: set[str] = set()
        """Turns that a hook refused, or made nothing of."""
        self.askers: dict[int, str] = {}
        self.said: list[Said] = []
        self.told: list[RoomEvent] = []
        """By AFTER_BROADCAST."""
        self.faults: list[str] = []
        self.found: dict[int, str] = {}
        """Who asked for what was found."""
        self.delegated: dict[str, str | None] = {}
        """Tasks, and for whom they are done."""
        self.moods_used: set[str] = set()
        self.strict = True
        """One turn is answered after the other: not where some speak and others write, who do not wait for them."""
        self.counts: defaultdict[str, int] = defaultdict(int)
        self.holder: str | None = None
        self.holders: list[tuple[float, str | None]] = []

    def draw(self, what: str, options: Sequence[Any]) -> Any:
        """The next of what was drawn."""
        self.counts[what] += 1
        return options[(self.counts[what] - 1) % len(options)]

    def begin(self, holder: str | None) -> None:
        """Who has the conversation before anybody handed it over."""
        self.holder = holder
        self.holders.append((now(), holder))

    def fault(self, what: str) -> None:
        """Something that must not be."""
        self.faults.append(f"{now():.3f}: {what}")

    def mood(self) -> str:
        """What a model does next."""
        mood = str(self.draw("mood", self.play.moods))
        self.moods_used.add(mood)
        return mood

    def called(self, agent: str, messages: Sequence[Message], turn: int | None, first: bool) -> None:
        """An agent's model is asked for a part of an answer."""
        _check_order(self, messages)
        asked = current()
        told = messages[-1].role is Role.USER and FENCED.search(messages[-1].text)
        if asked is not None and turn is not None and not told and f"t{turn}" not in asked.event.text.split():
            self.fault(f"{agent} is asked for t{turn}, and is to answer {asked.event.text!r}")
        if self.holder != agent and self.strict:
            since = [at for at, holder in self.holders][-1]
            self.fault(f"{agent} is asked for t{turn}, though {self.holder} has the conversation since {since:.3f}")

    @property
    def longest(self) -> float:
        """Seconds in which all that is owed can be told."""
        return 200.0 + 20.0 * self.counts["job"] + (100.0 if "stall" in self.play.moods else 15.0) * self.turns


def _check_order(troupe: Troupe, messages: Sequence[Message]) -> None:
    """Every tool's result comes right after the call, as models will have it."""
    open_calls: list[str] = []
    for message in messages:
        if message.role is Role.TOOL:
            if message.call not in open_calls:
                troupe.fault(f"a result without its call: {message}")
            else:
                open_calls.remove(message.call)
        else:
            if open_calls:
                troupe.fault(f"calls without results: {open_calls}")
            open_calls = [call.id for call in message.tool_calls]
    if open_calls:
        troupe.fault(f"calls without results: {open_calls}")
