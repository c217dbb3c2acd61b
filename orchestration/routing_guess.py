"""Guessing: what routers share that go by what the words mean. Affinity first, then a guess, then a default.

A guess that fails, dawdles or names somebody who is not there costs a caller its time, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.event import RoomEvent
from orchestration.routing import OverseenRouter, Route, Via, affinity
from orchestration.state import ConversationState, agent_or_none
from voice.cancellation import cancelled_here

log = logging.getLogger("sottovoce.routing")

PATIENCE = 2.0
"""Seconds that a guess may take unless its router says otherwise: a caller waits for it."""
MAX_PATIENCE = 9.0
"""Most seconds that a router may take: the hook that routes has 10 (`orchestration.hooks.PATIENCE`)."""
MAX_AGENTS = 100
"""Most agents among which a router guesses."""


class NoGuessError(ValueError):
    """Something was to be had, and it makes no sense; the message says why, without a caller's words."""


@dataclass(frozen=True, slots=True)
class Guess:
    """An agent, and how sure it is, from 0 to 1."""

    agent_id: str
    confidence: float


class GuessingRouter(OverseenRouter):
    """The agent that has the conversation goes on with it; otherwise whom `guess` names; otherwise a default.

    Without `sticky` the words may take a conversation from the agent that has it; if they tell nothing, that one keeps
    it. (A `CascadeRouter` is sticky, whatever its routers are.) A human who has the conversation keeps it in any case.
    A route is for one event and gives nobody the conversation; a handoff does. The default is no guess and has the
    confidence 0, so a cascade's threshold above 0 passes it over.
    """

    def __init__(
        self,
        choices: Sequence[str],
        default_agent_id: str | None = None,
        supervisor_id: str | None = None,
        *,
        sticky: bool = True,
        timeout: float = PATIENCE,
    ) -> None:
        """`choices`: the agents among whom it guesses. Raises ValueError naming what is wrong."""
        agent_or_none(default_agent_id, "default_agent_id")
        agent_or_none(supervisor_id, "supervisor_id")
        if not isinstance(sticky, bool):
            raise ValueError(f"sticky: {sticky!r:.60} is neither True nor False")
        if not is_number(timeout) or not 0 < timeout <= MAX_PATIENCE:
            raise ValueError(f"timeout: {timeout!r:.60} is no number of seconds above 0, at most {MAX_PATIENCE:g}")
        self.choices = tuple(choices)
        self.default_agent_id = default_agent_id
        self.supervisor_id = supervisor_id
        self.sticky = sticky
        self.timeout = timeout

    @property
    def named(self) -> Sequence[str]:
        """The agents to whom it may send."""
        default = [] if self.default_agent_id is None else [self.default_agent_id]
        return list(dict.fromkeys([*self.choices, *default]))

    @abstractmethod
    async def guess(
        self, event: RoomEvent, state: ConversationState, *, choices: Sequence[str], context: Any
    ) -> Guess | None:
        """One of `choices`, of which there is one at least, or (None) there is no telling. It keeps to `timeout`.

        It may raise anything; NoGuessError and TimeoutError are logged without a traceback.
        """

    async def _chosen(self, event: RoomEvent, state: ConversationState, agents: Collection[str], context: Any) -> Route:
        kept = affinity(state, agents)
        if kept and self.sticky:
            return Route(kept, Via.AFFINITY)
        if state.with_human:
            return Route(None, Via.HUMAN)
        choices = [id for id in self.choices if id in agents]
        if choices and (guess := await self._guessed(event, state, choices, context)):
            return Route(guess.agent_id, Via.MODEL, confidence=guess.confidence)
        if kept:
            return Route(kept, Via.AFFINITY)
        if self.default_agent_id in agents:
            return Route(self.default_agent_id, Via.DEFAULT, confidence=0.0)
        return Route(None, Via.NOBODY)

    async def _guessed(
        self, event: RoomEvent, state: ConversationState, choices: Sequence[str], context: Any
    ) -> Guess | None:
        """The guess, if it can be used."""
        try:
            guess = await self.guess(event, state, choices=choices, context=context)
            if guess is not None and guess.agent_id not in choices:
                raise NoGuessError(f"it chose {guess.agent_id!r:.60}, who is not among the agents here")
        except NoGuessError as why:
            log.warning("room %s: %r cannot tell who answers %s: %s", event.room, self, event.id, why)
            return None
        except TimeoutError:
            log.warning("room %s: %r was too slow to tell who answers %s", event.room, self, event.id)
            return None
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_here():
                raise
            log.error("room %s: %r failed and does not tell who answers %s", event.room, self, event.id, exc_info=error)
            return None
        return guess


def is_number(value: object) -> bool:
    """Whether it is a number, and not True or False."""
    return isinstance(value, int | float) and not isinstance(value, bool)
