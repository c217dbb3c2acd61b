"""A simulated channel that notes what it takes in, what it says, and who leaves it."""

from __future__ import annotations

from typing import Any

from tests.orchestration.plays.troupe import Said, Troupe
from voice.channel import Text, random_id
from voice.events import Deafened, Event, Left, Turn, TurnEnded
from voice.floor import FloorChanged
from voice.simulated import SimulatedCaller, SimulatedChannel


class Channel(SimulatedChannel):
    """Notes what is taken in and said."""

    def __init__(self, troupe: Troupe) -> None:
        super().__init__()
        self._new_id = random_id
        self._troupe = troupe
        self.people: dict[str, SimulatedCaller] = {}
        self.taken: list[Turn] = []
        self.left: list[tuple[float, str]] = []

    async def __aenter__(self) -> Channel:
        await super().__aenter__()
        self.listen(self._note)
        return self

    def _note(self, event: Event | FloorChanged, at: float) -> None:
        if isinstance(event, TurnEnded):
            self.taken.append(event.turn)
        if isinstance(event, Left | Deafened):
            self.left.append((at, event.caller))

    def say(self, text: Text, *, reply_to: Turn | None = None, **more: Any) -> Any:
        utterance = super().say(text, reply_to=reply_to, **more)
        self._troupe.said.append(Said(utterance, reply_to, self))
        return utterance
