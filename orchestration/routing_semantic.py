"""Routing by example: who answers what sounds like this. The agent with the nearest example is to answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from orchestration.event import RoomEvent
from orchestration.routing_guess import MAX_AGENTS, PATIENCE, Guess, GuessingRouter, is_number
from orchestration.routing_lexical import LexicalIndex
from orchestration.state import ConversationState, valid_agent
from voice.clock import now

if TYPE_CHECKING:
    from orchestration.routing_embedded import EmbeddedIndex

MAX_EXAMPLES = 1_000
"""Most examples of one router; all of them are looked at for every event that has no agent yet."""
MAX_EXAMPLE = 300
"""Most characters of an example: it is a sentence, and all of it is looked at."""
LEXICAL = 0.4
"""The threshold without `embed`, chosen on 28 sentences and 3 agents with 24 examples: of 18 for one of the agents 17
reach it and one another, and 2 of 10 that are for nobody reach somebody (tests/orchestration/test_routing_semantic.py).
"""
EMBEDDED = 0.5
"""The threshold with `embed`, which is only a beginning: what is near differs much from model to model."""
EVEN = 1e-6
"""Two agents that are so alike near are equally near; 32-bit numbers tell no finer."""


class SemanticRouter(GuessingRouter):
    """Sends what callers say to the agent that has the nearest of the examples; what is near to none, to the default.

    `embed` is an embedding model: an async function from texts to a vector each. Examples are embedded once, when they
    are first needed (or by `prepare`), and after that one call is made for each event. Without it sentences are
    compared by their words and letters, which needs nothing and knows no meaning (`orchestration.routing_lexical`): it
    finds what is said almost as in an example, and "Can I talk to a person?" may look like "Can I talk to sales?".

    `threshold` is the similarity (0 to 1) below which there is no telling, and so it is where two agents are equally
    near; the similarity is the route's confidence. It is no probability. Measure it with sentences of your own, also
    with such as are for nobody. Only the event's own words are looked at: "yes, please" is like nothing. One router may
    serve all rooms. What else holds of it is told at `GuessingRouter`.
    """

    def __init__(
        self,
        routes: Mapping[str, Sequence[str]],
        embed: Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]] | None = None,
        threshold: float | None = None,
        default_agent_id: str | None = None,
        supervisor_id: str | None = None,
        *,
        sticky: bool = True,
        timeout: float = PATIENCE,
    ) -> None:
        """`routes`: examples by agent. `threshold`: None is LEXICAL or EMBEDDED. `timeout`: seconds that `embed` gets.

        Raises ValueError naming what is wrong.
        """
        examples = _known_routes(routes)
        super().__init__(tuple(routes), default_agent_id, supervisor_id, sticky=sticky, timeout=timeout)
        if embed is not None and not callable(embed):
            raise ValueError(f"embed: {embed!r:.60} is no function; give an async one from texts to vectors")
        if threshold is None:
            threshold = LEXICAL if embed is None else EMBEDDED
        if not is_number(threshold) or not 0 <= threshold <= 1:
            raise ValueError(f"threshold: {threshold!r:.60} is no number from 0 to 1")
        self.threshold = threshold
        self._owners = [agent for agent, _ in examples]
        texts = [text for _, text in examples]
        self._lexical: LexicalIndex | None = None
        self._embedded: EmbeddedIndex | None = None
        if embed is None:
            self._lexical = LexicalIndex(texts)
        else:
            from orchestration.routing_embedded import EmbeddedIndex  # it needs numpy

            self._embedded = EmbeddedIndex(texts, embed)

    def __repr__(self) -> str:
        return f"SemanticRouter({len(self.choices)} agents, {len(self._owners)} examples)"

    async def prepare(self) -> None:
        """Embed the examples now, without a time limit, so that no caller waits for it. Raises what `embed` raises."""
        if self._embedded is not None:
            await self._embedded.prepare()

    async def guess(
        self, event: RoomEvent, state: ConversationState, *, choices: Sequence[str], context: Any
    ) -> Guess | None:
        """The agent with the nearest example. Raises TimeoutError and what `embed` raises."""
        near = await self._similarities(event.text)
        nearest: dict[str, float] = {}
        for agent, similarity in zip(self._owners, near, strict=True):
            if agent in choices:
                nearest[agent] = max(similarity, nearest.get(agent, 0.0))
        best, *others = sorted(nearest.items(), key=lambda each: -each[1])
        if best[1] < self.threshold or best[1] <= 0 or (others and best[1] - others[0][1] <= EVEN):
            return None
        return Guess(*best)

    async def _similarities(self, text: str) -> Sequence[float]:
        if self._lexical is not None:
            return self._lexical.similarities(text)
        assert self._embedded is not None
        began = now()
        try:
            async with asyncio.timeout(self.timeout):
                return await self._embedded.similarities(text)
        except (TimeoutError, asyncio.CancelledError):
            # A cascade's patience may end before our own. A caller who hangs up is no failure.
            if now() - began >= self.timeout / 2:
                self._embedded.rest()
            raise


def _known_routes(routes: object) -> list[tuple[str, str]]:
    """(agent, example) of each. Raises ValueError naming what is wrong."""
    if not isinstance(routes, Mapping) or not routes:
        raise ValueError(f"routes: {routes!r:.60} is no dict of agents' ids with example sentences of each")
    if len(routes) > MAX_AGENTS:
        raise ValueError(f"routes: {len(routes)} agents are too many; use at most {MAX_AGENTS}")
    found: list[tuple[str, str]] = []
    for agent, examples in routes.items():
        valid_agent(agent, "routes")
        if isinstance(examples, str) or not isinstance(examples, Sequence) or not examples:
            raise ValueError(f"routes[{agent!r}]: {examples!r:.60} is no list of sentences; give one at least")
        for example in examples:
            if not isinstance(example, str) or not any(map(str.isalnum, example)):
                raise ValueError(f"routes[{agent!r}]: {example!r:.60} is no sentence")
            if len(example) > MAX_EXAMPLE:
                raise ValueError(f"routes[{agent!r}]: {example!r:.60} has more than {MAX_EXAMPLE} characters")
            found.append((agent, example))
        if len(found) > MAX_EXAMPLES:
            raise ValueError(f"routes: there are more than {MAX_EXAMPLES} examples; use fewer, of different kinds")
    return found
