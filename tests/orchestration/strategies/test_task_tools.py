"""Work by voice: begun, asked about, dropped and recalled, each by the caller whose it is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from delivery import Status
from delivery.desk import Refuse
from delivery.ledger import OPEN_STATUSES
from orchestration import Agent, HookContext, HookEvent, HookExecution, HookTrigger, Runtime, Supervisor
from orchestration.engines.memory import MemoryEngine
from orchestration.models.scripted import Intent, Scripted
from orchestration.simulation import SimulatedCall, simulate
from orchestration.slots import Slots
from orchestration.strategies.task_tools import NAMED_CHARS, task_tools
from orchestration.workers import Context, FunctionWorker
from voice.clock import run

SAYS = {
    "delegate_to_quick": "be quick",
    "delegate_to_slow": "take your time",
    "delegate_to_ages": "take ages",
    "delegate_to_broken": "break it",
    "delegate_to_quiet": "be quiet",
}


def about(slots: Mapping[str, str]) -> Mapping[str, str]:
    return {"about": slots.get("topic", "")}


def works(id: str, seconds: float, text: str = "", error: Exception | None = None) -> FunctionWorker:
    async def job(input: str, context: Context) -> str:
        context.progress(f"{id} reads")
        await asyncio.sleep(seconds)
        if error:
            raise error
        return text

    return FunctionWorker(id, job, id.capitalize())


def house() -> Runtime:
    brain = Scripted(
        [
            *(
                Intent([f"{says} [{{topic}}]"], "on it.", call, lambda s: {"task": s.get("topic", "")})
                for call, says in SAYS.items()
            ),
            Intent(["how is it going"], call="task_status"),
            Intent(["forget it"], call="cancel_task"),
            Intent(["what did you find"], call="recall"),
            Intent(["cancel the (one|work) about {topic}"], call="cancel_task", arguments=about),
            Intent(["what about {topic}"], call="recall", arguments=about),
            Intent(["tell me a story"], "one two three four five six seven eight nine ten."),
        ],
        fallback=("pardon.",),
        telling=("news: {result}",),
    )
    workers = [
        works("quick", 0.1, "boats float."),
        works("slow", 8, "planes fly high."),
        works("ages", 60, "planes fly high."),
        works("broken", 0.1, error=OSError("no network")),
        works("quiet", 0.1),
    ]
    return Runtime(orchestration=Supervisor(Agent("host", model=brain), workers), state=None)


def play(script: Callable[[SimulatedCall], Awaitable[None]], runtime: Runtime | None = None) -> None:
    async def main() -> None:
        async with simulate(runtime or house()) as call:
            await script(call)

    run(main())


async def statuses(call: SimulatedCall) -> list[Status]:
    return [e.status for e in await call.runtime.ledger.entries(call.room, list(Status))]


async def ask(call: SimulatedCall, question: str, answer: str) -> None:
    await call.say(question)
    await call.hears(answer)


# -- beginning


def test_a_worker_that_is_done_at_once_is_answered_at_once_and_told_once() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "be quick boats", "boats float.")
        await call.silence(20)
        assert [line.heard for line in call.lines] == ["boats float."]
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_a_worker_that_takes_its_time_is_announced_and_told_later() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "take your time planes", "on it.")
        await call.hears("news: planes fly high.")
        await call.silence(1)
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_a_worker_that_fails_at_once_is_told_to_have_failed_once() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "break it now", "that did not work.")
        await call.silence(20)
        assert len(call.lines) == 1
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_a_worker_that_is_done_without_a_word_is_told_to_be_done() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "be quiet now", "done")
        await call.silence(20)
        assert len(call.lines) == 1

    play(script)


def test_work_that_is_refused_is_not_promised() -> None:
    runtime = house()

    @runtime.hook(HookTrigger.ON_TASK_DELEGATED, execution=HookExecution.SYNC)
    def refuse(event: HookEvent, context: HookContext) -> None:
        raise Refuse("not on Sundays")

    async def script(call: SimulatedCall) -> None:
        await ask(call, "take your time planes", "that did not work.")
        await ask(call, "how is it going", "nothing is running")

    play(script, runtime)


def test_work_without_a_topic_is_not_promised() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "take your time", "that did not work.")
        assert call.runtime.tasks.running(call.room) == []

    play(script)


# -- asking


def test_how_it_is_going_is_told() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "how is it going", "nothing is running in the background.")
        await ask(call, "take your time planes", "on it.")
        await ask(call, "how is it going", "slow is still working on planes: slow reads.")

    play(script)


def test_what_is_done_and_waits_to_be_told_is_said_so() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "take your time planes", "on it.")
        await call.silence(4)
        await call.interrupt("tell me a story " * 4)
        await call.hears("pardon.")
        await call.interrupt("how is it going")
        await call.hears("Done, and about to be told: planes.")
        await call.hears("news: planes fly high.")
        await ask(call, "how is it going", "Nothing is running in the background.")

    play(script)


@pytest.mark.parametrize(
    ("question", "nothing"),
    [
        ("how is it going", "nothing is running"),
        ("forget it", "nothing to cancel"),
        ("what did you find", "nothing yet"),
    ],
)
def test_what_is_anothers_is_not_told(question: str, nothing: str) -> None:
    async def script(call: SimulatedCall) -> None:
        bob = call.joined_by("bob")
        await ask(call, "take your time planes", "on it.")
        await bob.say(question)
        await bob.hears(nothing)
        await call.hears("planes fly high.")

    play(script)


def test_a_result_for_another_is_not_recalled() -> None:
    async def script(call: SimulatedCall) -> None:
        bob = call.joined_by("bob")
        await ask(call, "be quick boats", "boats float.")
        await bob.say("what did you find")
        await bob.hears("nothing yet")
        await ask(call, "what did you find", "boats float.")

    play(script)


def test_what_is_for_everybody_is_told_to_everybody() -> None:
    async def script(call: SimulatedCall) -> None:
        bob = call.joined_by("bob")
        await call.runtime.delegate(call.room, "slow", "planes")
        await bob.say("how is it going")
        await bob.hears("slow is still working on planes")
        await bob.hears("planes fly high.")
        await ask(call, "what did you find", "planes fly high.")

    play(script)


def test_what_waits_for_its_turn_is_told_and_can_be_dropped() -> None:
    async def script(call: SimulatedCall) -> None:
        call.runtime.tasks._slots = Slots(1, 1)
        await ask(call, "take your time planes", "on it.")
        await ask(call, "take your time trains", "on it.")
        await ask(call, "how is it going", "slow reads. trains is still waiting for its turn with slow.")
        await ask(call, "forget it", "i dropped trains.")
        await call.hears("planes fly high.")
        await ask(call, "how is it going", "nothing is running")

    play(script)


def test_what_another_process_runs_is_told_and_can_be_dropped() -> None:
    async def script(call: SimulatedCall) -> None:
        task = await call.runtime.delegate(call.room, "slow", "planes")
        await asyncio.sleep(1)
        engine = call.runtime.tasks._engine
        assert isinstance(engine, MemoryEngine)
        engine._running[task.id].cancel()  # as the engine does when another process has taken it over
        await asyncio.sleep(1)
        assert call.runtime.tasks.running(call.room) == []
        await engine.report(task.id, {"": "slow thinks"})
        await ask(call, "how is it going", "slow is still working on planes: slow thinks.")
        await ask(call, "forget it", "i dropped planes.")
        await ask(call, "how is it going", "nothing is running")

    play(script)


# -- dropping


def test_what_runs_is_dropped_the_last_first() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "take your time planes", "on it.")
        await ask(call, "take your time trains", "on it.")
        await ask(call, "forget it", "i dropped trains.")
        await call.hears("planes fly high.")
        await call.silence(20)
        assert await statuses(call) == [Status.HEARD]
        await ask(call, "forget it", "nothing to cancel.")

    play(script)


def test_a_result_that_waits_is_dropped_too() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "take your time planes", "on it.")
        await call.silence(4)
        await call.interrupt("tell me a story " * 4)
        await call.hears("pardon.")
        assert set(await statuses(call)) <= OPEN_STATUSES
        await call.interrupt("forget it")
        await call.hears("i dropped planes.")
        await call.silence(20)
        assert await statuses(call) == [Status.CANCELLED]
        assert not any("fly" in line.heard for line in call.lines)

    play(script)


# -- recalling


def test_what_was_heard_can_be_recalled() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "be quick boats", "boats float.")
        await ask(call, "what did you find", "boats float.")
        await call.silence(20)
        assert len(call.lines) == 2

    play(script)


def test_what_is_recalled_before_it_was_told_is_not_told_again() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "take your time planes", "on it.")
        await call.hears("planes")
        await call.interrupt("what did you find")
        await call.hears("planes fly high.")
        await call.silence(20)
        assert call.transcript.count("fly high") == 1
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_what_is_dropped_is_not_recalled() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.delegate(call.room, "slow", "planes")
        await call.hears("planes")
        await call.interrupt("forget it")
        await call.hears("i dropped planes.")
        await ask(call, "what did you find", "nothing yet.")

    play(script)


# -- one of several


def test_the_one_that_is_meant_is_dropped() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "take ages planes", "on it.")
        await ask(call, "take ages trains", "on it.")
        await ask(call, "cancel the one about planes", "i dropped planes.")
        await ask(call, "how is it going", "ages is still working on trains: ages reads.")
        await call.hears("planes fly high.", timeout=120)  # that is what it says of everything, here of trains
        await call.silence(20)
        assert await statuses(call) == [Status.HEARD]

    play(script)


def test_which_one_is_asked_when_several_may_be_meant() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "take ages old planes", "on it.")
        await ask(call, "take ages new planes", "on it.")
        await ask(call, "cancel the one about planes", "that may be old planes or new planes. ask which one is meant.")
        await ask(call, "cancel the one about new planes", "i dropped new planes.")
        await ask(call, "how is it going", "working on old planes")

    play(script)


def test_of_two_that_are_the_same_the_newer_one_is_dropped() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "take ages planes", "on it.")
        await ask(call, "take ages planes", "on it.")
        await ask(call, "cancel the one about planes", "i dropped planes.")
        await ask(call, "how is it going", "ages is still working on planes: ages reads.")

    play(script)


def test_what_there_is_is_said_when_none_is_meant() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "cancel the one about boats", "there is nothing to cancel.")
        await ask(call, "take your time planes", "on it.")
        await ask(call, "cancel the one about boats", "there is nothing about that. there is planes.")
        await call.hears("planes fly high.")

    play(script)


def test_a_result_that_waits_is_meant_too() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "take your time planes", "on it.")
        await call.silence(4)
        await call.interrupt("tell me a story " * 4)
        await call.hears("pardon.")
        await call.interrupt("take ages trains")
        await call.hears("on it.")
        await call.interrupt("cancel the one about planes")
        await call.hears("i dropped planes.")
        await ask(call, "how is it going", "ages is still working on trains")

    play(script)


def test_anothers_work_is_not_dropped() -> None:
    async def script(call: SimulatedCall) -> None:
        bob = call.joined_by("bob")
        await ask(call, "take your time planes", "on it.")
        await bob.say("cancel the one about planes")
        await bob.hears("there is nothing to cancel.")
        await call.hears("planes fly high.")

    play(script)


def test_what_was_found_about_something_is_told() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "be quick boats", "boats float.")
        await ask(call, "take your time trains", "on it.")
        await call.hears("planes fly high.")
        await ask(call, "what about boats", "boats float.")
        await ask(call, "what about trains", "planes fly high.")  # they were asked for
        await ask(call, "what about high planes", "planes fly high.")  # it says so
        await ask(call, "what did you find", "planes fly high.")

    play(script)


def test_what_there_is_is_said_when_nothing_was_found_about_it() -> None:
    async def script(call: SimulatedCall) -> None:
        await ask(call, "what about boats", "there is nothing yet.")
        await ask(call, "be quick ships", "boats float.")
        await ask(call, "what about trains", "there is nothing about that yet. there is something about ships.")
        await ask(call, "take your time trains", "on it.")
        await ask(call, "what about trains", "nothing about that yet. slow is still working on trains: slow reads.")

    play(script)


def test_many_names_are_not_all_told() -> None:
    async def script(call: SimulatedCall) -> None:
        for number in ("one", "two", "three", "four", "five", "six", "seven"):
            await ask(call, f"be quick boat {number}", "boats float.")
        await ask(call, "what about trains", "about boat seven, boat six, boat five, boat four and boat three.")

    play(script)


def test_work_is_named_by_its_beginning_however_long_it_is() -> None:
    async def script() -> None:
        async with Runtime(orchestration=house().orchestration, state=None) as runtime:
            await runtime.create_room("lobby")
            status, cancel, _ = task_tools(runtime, "lobby")
            task = f"boats {'x' * 200}\n\nThis was said before that: a secret."
            await runtime.delegate("lobby", "ages", task)
            await asyncio.sleep(1)
            named = f"boats {'x' * (NAMED_CHARS - 7)}…"
            assert (await status.run({})).startswith(f"Ages is still working on {named}")
            assert await cancel.run({}) == f"All right, I dropped {named}."

    run(script())
