"""Authors: which agent's words begin where in an utterance."""

from __future__ import annotations

from collections.abc import Sequence


class Authors:
    """Of one utterance. `agent`: whose words all of it has, if that is known from the beginning; "": no agent's."""

    def __init__(self, agent: str | None = None) -> None:
        self._begun: list[tuple[int, str]] = [] if agent is None else [(0, agent)]
        self.chars = 0
        """Characters of it that are made."""

    @property
    def begun(self) -> Sequence[tuple[int, str]]:
        """The character from which on it is the words of which agent, by id, in order."""
        return self._begun

    def wrote(self, agent: str, piece: str) -> None:
        """The next piece is this agent's."""
        if piece and (not self._begun or self._begun[-1][1] != agent):
            self._begun.append((self.chars, agent))
        self.chars += len(piece)
