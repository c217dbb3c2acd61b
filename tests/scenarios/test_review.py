"""What a reviewer says of a result before it is told: D20."""

from __future__ import annotations

import pytest

from delivery import Status
from orchestration.simulation import SimulatedCall
from orchestration.verdict import Verdict
from orchestration.workers import Context, worker
from tests.scenarios.scenes import house, play, said, statuses

DRAFTS = ["boats sink.", "boats float."]


@pytest.mark.parametrize("first", ["This is NOT APPROVED.", "APPROVED? Not at all.", '{"approved": false}'])
def test_d20_reviewer_says_not_approved(first: str) -> None:
    reviews = [first, "APPROVED"]

    @worker(role="Analyst")
    async def reviewed(topic: str, context: Context) -> str:
        """Writes until its reviewer approves."""
        for draft, review in zip(DRAFTS, reviews, strict=True):
            if Verdict.of(review).approved:
                return draft
        raise AssertionError("never approved")

    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("boats float.")
        await call.silence(5)
        assert not [line for line in said(call) if "sink" in line]
        assert await statuses(call) == [Status.HEARD]

    play(script, house(workers=[reviewed], on_it="On it. {result}"))
