"""Preemptive replies: what a model is asked before a turn has ended is kept if the turn ends so, and dropped if not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from delivery import WaitForIdle
from delivery.desk import Refuse
from orchestration import Agent, HookExecution, HookTrigger, Loop, Orchestration, Runtime, Supervisor
from orchestration.asked import Asked, Routed
from orchestration.memory import SlidingWindowMemory
from orchestration.preemptive import METADATA, MOST, VAIN, Preemptive
from orchestration.room import Room
from orchestration.simulation import SimulatedCall, simulate
from tests.orchestration.models.double import Double, Part, calls
from tests.orchestration.test_conversation import Talks
from voice.clock import now, run
from voice.endpointing import FixedSilence
from voice.events import Turn, TurnForeseen

EAGER = FixedSilence(silence=0.6, eager=0.1)
THOUGHT = 0.4


def thinks(*replies: Sequence[Part]) -> Double:
    """A model that needs a while before its first word."""
    return Double([[THOUGHT, *reply] for reply in replies])


def play(
    script: Callable[[SimulatedCall], Awaitable[None]],
    model: Double,
    *tools: Callable[..., Any],
    orchestration: Orchestration | None = None,
    hook: Callable[[Runtime], None] = lambda runtime: None,
    agent: Agent | None = None,
    **speech: Any,
) -> None:
    runtime = Runtime(orchestration=orchestration or Talks(agent or Agent("host", model=model), *tools), state=None)
    hook(runtime)

    async def main() -> None:
        async with simulate(runtime, **{"endpointer": EAGER, **speech}) as call:
            await script(call)
        assert model.open == 0

    run(main())


def delay(model: Double, **speech: Any) -> float:
    """Seconds from the caller's last sound to the answer's first."""
    found: list[float] = []

    async def script(call: SimulatedCall) -> None:
        _, ended = await call.say("what do you know")
        line = await call.hears("A lot")
        found.append(line.started - ended)

    play(script, model, **speech)
    return found[0]


def test_the_model_thinks_while_the_silence_is_waited_for() -> None:
    eager, patient = thinks(["A lot."]), thinks(["A lot."])
    assert delay(patient, preemptive=False) == pytest.approx(0.6 + THOUGHT, abs=0.02)
    assert delay(eager) == pytest.approx(0.6, abs=0.02)
    assert len(eager.asked) == len(patient.asked) == 1
    assert eager.asked == patient.asked


def test_a_model_that_needs_longer_than_the_silence_gains_all_of_it() -> None:
    slow = Double([[2.0, "A lot."]])
    assert delay(slow) == pytest.approx(0.1 + 2.0, abs=0.02)
    assert len(slow.asked) == 1


def test_hooks_are_told_how_much_was_gained() -> None:
    told: list[Any] = []

    def hook(runtime: Runtime) -> None:
        @runtime.hook(HookTrigger.AFTER_BROADCAST)
        async def note(event: Any, context: Any) -> None:
            told.append(event.metadata.get(METADATA))

    async def script(call: SimulatedCall) -> None:
        await call.say("what do you know")
        await call.hears("A lot")
        await asyncio.sleep(2)

    play(script, thinks(["A lot."]), hook=hook)
    assert told == [None, {"seconds": pytest.approx(0.5, abs=0.02)}]


def test_a_turn_that_goes_on_is_asked_again_and_the_first_request_is_closed() -> None:
    model = thinks(["Too soon."], ["A lot."])

    async def script(call: SimulatedCall) -> None:
        await call.say("what do you")
        await asyncio.sleep(0.15)
        assert model.open == 1
        await call.caller.say("know of the sea")
        line = await call.hears("A lot")
        assert len(call.turns) == 1
        assert [line] == list(call.lines)

    play(script, model)
    assert [request.messages[-1].text for request in model.asked] == ["what do you", "what do you know of the sea"]


def test_a_caller_who_thinks_aloud_is_paid_for_a_few_times_only() -> None:
    model = thinks(["A lot."])

    async def script(call: SimulatedCall) -> None:
        for word in ["what", "do", "you", "know", "of", "the"]:
            await call.caller.say(word)
            await asyncio.sleep(0.3)
        await call.caller.say("sea")
        await call.hears("A lot")

    play(script, model)
    assert len(model.asked) == MOST + 1


def test_no_tool_runs_and_nothing_is_said_before_the_turn_has_ended() -> None:
    ran: list[float] = []

    async def book() -> str:
        ran.append(now())
        return "booked"

    model = Double([["Yes. ", calls("book")], ["Done."]])

    async def script(call: SimulatedCall) -> None:
        _, ended = await call.say("book it")
        await call.hears("Done")
        assert ran == [pytest.approx(ended + 0.6, abs=0.02)]
        assert call.lines[0].started >= ended + 0.59

    play(script, model, book)
    assert len(model.asked) == 2


def test_a_turn_that_a_hook_rewrites_is_asked_anew_and_that_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    def hook(runtime: Runtime) -> None:
        @runtime.hook(HookTrigger.ON_TRANSCRIPTION, execution=HookExecution.SYNC)
        async def louder(event: Any, context: Any) -> str:
            return str(event.content).upper()

    model = thinks(["A lot."])

    async def script(call: SimulatedCall) -> None:
        for _ in range(VAIN + 2):
            await call.say("what do you know")
            await call.hears("A lot")

    with caplog.at_level(logging.WARNING, "sottovoce.preemptive"):
        play(script, model, hook=hook)
    assert [r.messages[-1].text.isupper() for r in model.asked] == [False, True] * VAIN + [True] * 2
    assert len(caplog.records) == 1


def test_one_that_fails_ahead_is_asked_anew() -> None:
    model = Double([[OSError("it broke")], [THOUGHT, "A lot."]])
    assert delay(model) == pytest.approx(0.6 + THOUGHT, abs=0.02)
    assert len(model.asked) == 2


def test_one_that_fails_later_has_failed() -> None:
    model = Double([[1.0, OSError("it broke")], ["A lot."]])

    async def script(call: SimulatedCall) -> None:
        await call.say("what do you know")
        await call.hears("Sorry")

    play(script, model)
    assert len(model.asked) == 1


@pytest.mark.parametrize("size", [8, 9, 10, 15, 20])
def test_a_window_out_of_which_the_turn_pushes_something_is_no_hindrance(size: int) -> None:
    model = thinks(["A lot."])

    async def script(call: SimulatedCall) -> None:
        for number in range(12):
            await call.say(f"what do you know of {number}")
            await call.hears("A lot")

    play(script, model, agent=Agent("host", model=model, memory=SlidingWindowMemory(size)))
    assert len(model.asked) == 12


def test_the_words_of_a_supervisor_are_asked_ahead_with_its_tools_and_its_briefing() -> None:
    model, worker = thinks(["A lot."]), Double([["Found."]])
    team = Supervisor(Agent("host", model=model), workers=[Agent("researcher", model=worker)])

    async def script(call: SimulatedCall) -> None:
        call.runtime.status_bus.post(agent_id="researcher", action="look", status="ok", detail="rain", room=call.room)
        await asyncio.sleep(0.5)
        _, ended = await call.say("what do you know")
        line = await call.hears("A lot")
        assert line.started == pytest.approx(ended + 0.6, abs=0.02)

    play(script, model, orchestration=team)
    assert len(model.asked) == 1
    assert "delegate_to_researcher" in model.asked[0].tools
    assert "rain" in model.asked[0].prompt


def test_where_work_comes_before_the_answer_nothing_is_asked_ahead() -> None:
    model, reviewer = thinks(["A lot."]), Double([["APPROVED"]])
    loop = Loop(Agent("host", model=model), reviewers=[Agent("reviewer", model=reviewer)], async_delivery=False)

    async def script(call: SimulatedCall) -> None:
        await call.say("what do you know")
        await asyncio.sleep(0.3)
        assert model.asked == []
        await call.hears("A lot")

    play(script, model, orchestration=loop)


def test_a_responder_of_ones_own_is_not_guessed_at() -> None:
    class Polite(Routed):
        def part(self, asked: Asked, agent: Agent) -> Any:
            return asked.reply(agent, prompt="Be polite.")

    class Manners(Talks):
        async def install(self, runtime: Runtime, room_id: str) -> None:
            await super().install(runtime, room_id)
            runtime.room(room_id).responder = Polite()

    model = thinks(["A lot."])
    assert delay(model, orchestration=Manners(Agent("host", model=model))) == pytest.approx(0.6 + THOUGHT, abs=0.02)
    assert [request.prompt for request in model.asked] == ["Be polite."]


def test_one_that_tells_what_it_asks_is_asked_ahead() -> None:
    class Polite(Routed):
        def part(self, asked: Asked, agent: Agent) -> Any:
            return asked.reply(agent, prompt="Be polite.")

        async def foresee(self, asked: Asked, agent: Agent) -> Any:
            return asked.request(agent, prompt="Be polite.")

    class Manners(Talks):
        async def install(self, runtime: Runtime, room_id: str) -> None:
            await super().install(runtime, room_id)
            runtime.room(room_id).responder = Polite()

    model = thinks(["A lot."])
    assert delay(model, orchestration=Manners(Agent("host", model=model))) == pytest.approx(0.6, abs=0.02)
    assert len(model.asked) == 1


def test_a_caller_who_hangs_up_is_not_paid_for_any_longer() -> None:
    model = thinks(["A lot."])

    async def script(call: SimulatedCall) -> None:
        await call.say("what do you know")
        await asyncio.sleep(0.2)
        assert model.open == 1
        call.caller.hang_up()
        await asyncio.sleep(0.01)
        assert model.open == 0

    play(script, model)


def test_a_model_that_answers_in_no_time_is_not_asked_ahead() -> None:
    model = thinks(["A lot."])
    model.preemptive = False  # type: ignore[attr-defined]
    assert delay(model) == pytest.approx(0.6 + THOUGHT, abs=0.02)


def test_a_turn_is_foreseen_once() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("what do you know")
        await call.hears("A lot")
        assert sum(isinstance(moment.what, TurnForeseen) for moment in call.timeline) == 1

    play(script, thinks(["A lot."]))


def test_a_turn_that_a_hook_refuses_is_not_paid_for_any_longer() -> None:
    def hook(runtime: Runtime) -> None:
        @runtime.hook(HookTrigger.ON_TRANSCRIPTION, execution=HookExecution.SYNC)
        async def refuse(event: Any, context: Any) -> None:
            raise Refuse("not here")

    model = Double([[60.0, "A lot."]])

    async def script(call: SimulatedCall) -> None:
        await call.say("what do you know")
        await asyncio.sleep(0.3)
        assert model.open == 1
        await asyncio.sleep(0.4)
        assert model.open == 0

    play(script, model, hook=hook)


def test_callers_who_think_aloud_together_are_paid_for_a_few_times_only() -> None:
    model = thinks(["A lot."])

    async def script(call: SimulatedCall) -> None:
        bert = call.joined_by("bert").caller
        for word in ["what", "do", "you", "know", "of", "it"]:
            first = call.caller.start_saying(word)
            await asyncio.sleep(0.25)
            await bert.say(word)
            await first
            await asyncio.sleep(0.15)
        await asyncio.sleep(0.3)
        assert len(model.asked) <= 2 * (MOST + 1)

    play(script, model)


def test_nothing_is_kept_of_turns_that_are_over() -> None:
    """A room may stand open for months, with other callers every day."""

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            ahead = Preemptive(Room("lobby", delivery=WaitForIdle()), group)
            before = counted(ahead)
            for number in range(200):
                turn = Turn(f"turn-{number}", f"caller-{number}", "hello", 0.0, 1.0)
                ahead.foresee(turn, nothing)
                if number % 2:
                    ahead.end(turn)
                else:
                    ahead.forget(turn.caller)
            assert counted(ahead) <= before + 2

    async def nothing() -> None:
        return None

    def counted(ahead: Preemptive) -> int:
        return sum(len(each) for each in vars(ahead).values() if isinstance(each, dict))

    run(main())
