"""Whole calls in virtual time: the main job, and what else callers do. Times are exact to 20 ms.

What goes wrong elsewhere is played in tests/scenarios, row by row.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from delivery import Immediate, Status
from orchestration import HookContext, HookEvent, HookExecution, HookTrigger, Refuse
from orchestration.simulation import NotHeardError, SimulatedCall
from tests.scenarios.scenes import SECOND, failing_later, house, near, play, said, slow, statuses
from voice.floor import FloorState


def test_the_talk_goes_on_while_workers_work_and_the_result_waits_for_silence() -> None:
    async def script(call: SimulatedCall) -> None:
        _, stopped = await call.say("look into boats")
        answer = await call.hears("on it")
        assert near(answer.started, stopped + 0.6 + 0.25)  # the turn's silence, then the grace for an instant worker
        await call.say("what time is it")
        await call.hears("noon")
        result = await call.hears("My analysts say")
        begun = answer.started - 0.25
        opened = call.floor_opened(before=result)
        assert near(result.started, max(opened + 1.0, begun + SECOND))
        await call.hears("Technically boats are sound.")
        await call.hears("patient and careful use.")
        await call.silence(30)
        assert await statuses(call) == [Status.HEARD]
        assert sum("analysts say" in line for line in said(call)) == 1

    play(script)


def test_immediate_does_not_wait() -> None:
    async def script(call: SimulatedCall) -> None:
        call.caller.start_saying("tell me a story about boats and trains and planes and much more")
        await call.silence(1)
        receipt = await call.runtime.deliver(call.room, "Fire!", strategy=Immediate())
        line = await call.hears("Fire!")
        assert near(line.started, 1.0)
        assert (await receipt).status is Status.HEARD

    play(script)


def test_the_caller_may_ask_how_it_goes_and_forget_it() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("on it")
        await call.caller.say("how is it going")
        await call.hears("still working on boats: reading")
        await call.say("forget it")
        await call.hears("I dropped boats")
        await call.silence(20)
        assert await statuses(call) == []
        assert not any("analysts" in line.heard for line in call.lines)

    play(script, house(workers=[slow]))


def test_hooks_may_rewrite_and_refuse_and_are_told_the_outcome() -> None:
    outcomes: list[tuple[str, str]] = []
    runtime = house()

    @runtime.hook(HookTrigger.BEFORE_DELIVER, execution=HookExecution.SYNC)
    async def before(event: HookEvent, context: HookContext) -> str:
        if "secret" in event.text:
            raise Refuse("not for callers")
        return event.text.replace("boat", "ship")

    @runtime.hook(HookTrigger.AFTER_DELIVER)
    def after(event: HookEvent, context: HookContext) -> None:
        outcomes.append((event.metadata["status"], event.metadata["heard"] or event.metadata["reason"]))

    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "The secret boat.")
        await call.runtime.deliver(call.room, "The boat is here.")
        await call.hears("The ship is here.")
        await call.silence(3)
        assert outcomes == [("refused", "not for callers"), ("heard", "The ship is here.")]

    play(script, runtime)


def test_a_worker_that_fails_later_is_told_too() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("on it")
        await call.hears("Late analyst could not finish what you asked for.")
        assert await statuses(call) == [Status.HEARD]

    play(script, house(workers=[failing_later]))


def test_the_newest_of_a_topic_wins_and_the_late_expire() -> None:
    async def script(call: SimulatedCall) -> None:
        call.caller.start_saying(" ".join(["tell me"] * 20))
        await call.silence(1)
        late = await call.runtime.deliver(call.room, "Too late.", ttl=5)
        old = await call.runtime.deliver(call.room, "Two boats.", supersedes="boats")
        new = await call.runtime.deliver(call.room, "Three boats.", supersedes="boats")
        await call.hears("Three boats.")
        assert [(await r).status for r in (late, old, new)] == [Status.EXPIRED, Status.SUPERSEDED, Status.HEARD]

    play(script)


def test_every_state_of_the_floor_is_seen_and_the_agent_never_overlaps_itself() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("look into boats")
        await call.hears("careful use.")
        await call.hang_up()
        seen = {state for _, state in call.floor}
        assert seen == set(FloorState)
        spans = [span for line in call.lines for span in line.spans]
        assert all(a[1] <= b[0] + 1e-6 for a, b in pairwise(spans))

    play(script)


def test_what_is_not_said_is_not_heard() -> None:
    async def script(call: SimulatedCall) -> None:
        with pytest.raises(NotHeardError, match="bananas"):
            await call.hears("bananas", timeout=5)

    play(script)
