"""A router of one's own that guesses: who is not there is not chosen, and what fails costs the default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration import ConversationState, RoomEvent, Route
from orchestration.routing import Via
from orchestration.routing_guess import Guess, GuessingRouter
from tests.orchestration.test_event import event
from voice.clock import run

IDS = ["billing", "support", "sales"]


class Says(GuessingRouter):
    """It guesses what it is told to."""

    def __init__(self, guess: Guess | Exception | None, **more: Any) -> None:
        super().__init__(IDS, **more)
        self._guess = guess
        self.offered: list[Sequence[str]] = []

    async def guess(
        self, event: RoomEvent, state: ConversationState, *, choices: Sequence[str], context: Any
    ) -> Guess | None:
        self.offered.append(choices)
        if isinstance(self._guess, Exception):
            raise self._guess
        return self._guess


def routed(router: Says, agents: Sequence[str] = IDS, state: ConversationState | None = None) -> Route | None:
    return run(router.route(event(), state or ConversationState(), agents=agents))


def test_it_is_offered_those_that_are_there_in_the_order_given() -> None:
    router = Says(Guess("sales", 0.7))
    assert routed(router, ["boss", "sales", "billing"]) == Route("sales", Via.MODEL, confidence=0.7)
    assert routed(router, ["boss"]) == Route(None, Via.NOBODY)
    assert router.offered == [["billing", "sales"]]


def test_one_who_is_not_there_is_not_chosen(caplog: pytest.LogCaptureFixture) -> None:
    for wrong in ("boss", "support"):
        assert routed(Says(Guess(wrong, 1.0)), ["boss", "billing"]) == Route(None, Via.NOBODY)
        assert f"it chose {wrong!r}, who is not among the agents here" in caplog.text


@given(
    st.sampled_from([None, OSError("away"), TimeoutError()])
    | st.builds(Guess, st.sampled_from([*IDS, "boss"]), st.floats(0, 1)),
    st.sets(st.sampled_from([*IDS, "boss"])),
    st.sampled_from([None, *IDS, "gone"]),
    st.booleans(),
    st.booleans(),
)
def test_whatever_it_guesses_the_order_of_things_holds(
    guess: Guess | Exception | None, there: set[str], active: str | None, human: bool, sticky: bool
) -> None:
    state = ConversationState(active_agent_id=active)
    if human and active:
        state = state.transition("escalation", None)
    router = Says(guess, default_agent_id="billing", sticky=sticky)
    route = routed(router, sorted(there), state)
    assert route is not None
    kept = state.active_agent_id if state.active_agent_id in there else None
    good = isinstance(guess, Guess) and guess.agent_id in there and guess.agent_id in IDS
    if kept and sticky:
        assert route == Route(kept, Via.AFFINITY)
    elif state.with_human:
        assert route == Route(None, Via.HUMAN)
    elif good and isinstance(guess, Guess):
        assert route == Route(guess.agent_id, Via.MODEL, confidence=guess.confidence)
    elif kept:
        assert route == Route(kept, Via.AFFINITY)
    elif "billing" in there:
        assert route == Route("billing", Via.DEFAULT, confidence=0.0)
    else:
        assert route == Route(None, Via.NOBODY)
    asked = bool(there & set(IDS)) and not (kept and sticky) and not state.with_human
    assert len(router.offered) == asked
