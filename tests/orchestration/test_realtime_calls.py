"""Whole calls with a speech-to-speech model: the agents, their tools and results, over the channel that it talks on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from delivery import Immediate, Status
from orchestration import (
    Agent,
    HookContext,
    HookEvent,
    HookExecution,
    HookTrigger,
    Refuse,
    Runtime,
    Speech,
    Supervisor,
    Swarm,
)
from orchestration.models.prepared import Prepared
from orchestration.session import Session
from orchestration.strategies.orchestration import Orchestration
from orchestration.workers import FunctionWorker
from tests.voice.doubles import FakeLeg, Vad, quiet
from tests.voice.realtime.double import Model
from tests.voice.realtime.double import Session as Talk
from voice.clock import run

Scene = Callable[["Call"], Coroutine[Any, Any, None]]


class Call:
    """Anna's call. The agent's own models are never asked to talk."""

    def __init__(self, runtime: Runtime, model: Model, session: Session, group: asyncio.TaskGroup) -> None:
        self.runtime, self.model, self.session, self.group = runtime, model, session, group
        self.anna = self.join("anna")

    def join(self, name: str) -> FakeLeg:
        leg = FakeLeg(name)
        self.group.create_task(self.session.serve(leg))
        return leg

    @property
    def remembered(self) -> list[tuple[str, str]]:
        agent = self.session.room.talker
        assert agent is not None
        return [(m.role.value, m.text) for m in self.session.room.memory.messages(agent)]

    async def statuses(self) -> list[Status]:
        return [entry.status for entry in await self.runtime.ledger.entries("lobby", list(Status))]


def play(scene: Scene, model: Model, orchestration: Orchestration) -> None:
    async def main() -> None:
        runtime = Runtime(state=None, orchestration=orchestration, speech=Speech(vad=Vad(), realtime=model))
        async with runtime, asyncio.timeout(600), asyncio.TaskGroup() as group:
            call = Call(runtime, model, await runtime.enter("lobby"), group)
            await asyncio.sleep(0.1)
            await scene(call)
            call.anna.end(hung_up=True)

    run(main())


def host(says: str = "I never talk.", **more: Any) -> Agent:
    return Agent("host", model=Prepared([says] * 9), prompt="You are the host.", **more)


def test_the_model_talks_as_the_agent_and_what_was_heard_is_remembered() -> None:
    async def scene(call: Call) -> None:
        await call.anna.play(quiet(1.5))
        await call.anna.say("good morning", 3)
        assert call.anna.text == "hello you said good morning"
        assert call.remembered == [
            ("assistant", "hello"),
            ("user", "good morning"),
            ("assistant", "you said good morning"),
        ]
        assert call.model.session.told[0].prompt == "You are the host."

    play(scene, Model(), Swarm([host(greeting="hello")]))


def test_who_cuts_in_leaves_what_they_heard_in_the_memory() -> None:
    async def scene(call: Call) -> None:
        await call.anna.say("tell me", 2)
        await call.anna.say("stop it please", 3)
        user, reply, *_ = call.remembered
        assert user == ("user", "tell me")
        assert reply[1].startswith("here is a")
        assert reply[1].endswith("(cut off here)")
        assert len(call.model.session.cuts) == 1

    play(scene, Model(answers={"tell me": "here is a long answer that goes on for a good while"}), Swarm([host()]))


def test_tools_of_the_agent_are_run_for_the_caller_who_asked() -> None:
    asked: list[str | None] = []

    async def script(talk: Talk, heard: str) -> None:
        await talk.speak(f"it is {await talk.call('weather', place='rome')}")

    async def weather(place: str) -> str:
        """The weather at a place."""
        asked.append(place)
        return "sunny"

    async def scene(call: Call) -> None:
        (function,) = call.model.session.told[0].functions
        assert (function.name, function.description) == ("weather", "The weather at a place.")
        await call.anna.say("what about rome", 3)
        assert (asked, call.anna.text) == (["rome"], "it is sunny")
        roles = [role for role, _ in call.remembered]
        assert roles == ["user", "assistant", "tool", "assistant"]

    play(scene, Model(script), Swarm([host(tools=[weather])]))


async def delegates(talk: Talk, heard: str) -> None:
    if heard.startswith("look"):
        await talk.call("delegate_workers", task="boats")
        await talk.speak("on it")
    else:
        await talk.speak(f"you said {heard}")


async def analyst(task: str, context: Any) -> str:
    await asyncio.sleep(6)
    return f"{task} float"


@pytest.mark.parametrize("fast", [1.0, 5.0])
def test_the_talk_goes_on_while_workers_work_and_the_result_is_told_once_when_both_are_silent(fast: float) -> None:
    async def scene(call: Call) -> None:
        await call.anna.say("look into boats", 3)
        assert call.anna.text == "on it"
        await call.anna.say("how are you", 2)
        await call.anna.say("and what else is there to say today", 4)
        assert call.anna.text == "on it you said how are you you said and what else is there to say today"
        await call.anna.play(quiet(6))
        assert call.anna.text.endswith("the analysts say boats float")
        assert call.anna.text.count("float") == 1
        assert await call.statuses() == [Status.HEARD]
        assert ("assistant", "the analysts say boats float") in call.remembered

    workers = [FunctionWorker("analyst", analyst, "Analyst")]
    play(
        scene,
        Model(delegates, fast=fast),
        Supervisor(host("the analysts say boats float"), workers, strategy="parallel"),
    )


def test_a_result_that_a_caller_cuts_is_owed_and_told_in_the_end() -> None:
    text = "one two three four five six seven eight nine ten"

    async def scene(call: Call) -> None:
        receipt = await call.runtime.deliver("lobby", text)
        await call.anna.play(quiet(2.5))
        await call.anna.say("wait a moment please", 12)
        assert (await receipt).status is Status.HEARD
        heard = call.anna.text.split()
        assert set(text.split()) <= set(heard)
        assert len(heard) < 10 + 6 + 8

    play(scene, Model(), Swarm([host()]))


def test_a_delivery_that_the_model_refuses_is_told_later() -> None:
    async def scene(call: Call) -> None:
        call.model.session.listening = True
        receipt = await call.runtime.deliver("lobby", "the boats are here")
        await asyncio.sleep(8)
        assert len(call.model.session.refused) >= 3
        assert not any(status.terminal for status in await call.statuses())
        call.model.session.listening = False
        assert (await receipt).status is Status.HEARD
        assert call.anna.text == "the boats are here"

    play(scene, Model(), Swarm([host()]))


def test_immediate_waits_for_nobody() -> None:
    async def scene(call: Call) -> None:
        await call.anna.say("tell me", 1)
        receipt = await call.runtime.deliver("lobby", "fire", strategy=Immediate())
        await call.anna.play(quiet(1))
        assert "fire" in call.anna.text
        assert (await receipt).status is Status.HEARD

    play(scene, Model(answers={"tell me": "here is a long answer that goes on for a good while"}), Swarm([host()]))


def test_queued_results_are_told_together() -> None:
    async def scene(call: Call) -> None:
        receipts = [
            await call.runtime.deliver("lobby", text, strategy="queued") for text in ("boats float", "trains roll")
        ]
        await call.anna.play(quiet(5))
        assert [(await r).status for r in receipts] == [Status.HEARD, Status.HEARD]
        assert "boats float" in call.anna.text
        assert "trains roll" in call.anna.text
        assert len(call.model.session.injected) == 1

    play(scene, Model(), Swarm([host()]))


def test_a_handoff_gives_the_model_another_prompt_and_the_next_agent_answers() -> None:
    async def script(talk: Talk, heard: str) -> None:
        if talk.told[-1].prompt.startswith("You are the host"):
            await talk.call("handoff_conversation", target="expert", reason="boats", summary="They ask for boats.")
        await talk.speak(f"{talk.told[-1].prompt.split()[-1]} says {heard}")

    async def scene(call: Call) -> None:
        await call.anna.say("what about boats", 4)
        assert call.anna.text == "expert says what about boats"
        assert call.session.room.talker is expert
        await call.anna.say("and trains", 3)
        assert call.anna.text.endswith("expert says and trains")
        names = {function.name for function in call.model.session.told[0].functions}
        assert names == {"handoff_conversation"}

    expert = Agent("expert", model=Prepared(["no"]), prompt="You are the expert")
    play(scene, Model(script), Swarm([host(), expert]))


def test_a_handoff_between_two_turns_is_known_to_the_model_before_the_next() -> None:
    """By a hook, a task or a person at a desk: no answer is being made."""
    agents = [Agent(id, model=Prepared(["I never talk."] * 9), prompt=f"You are {id}.") for id in ("sales", "billing")]
    prompts: list[str] = []

    async def script(talk: Talk, heard: str) -> None:
        prompts.append(talk.told[-1].prompt.splitlines()[0])
        await talk.speak("yes")

    async def scene(call: Call) -> None:
        await call.anna.say("good morning", 3)
        room = call.session.room
        assert room.handoff is not None
        given = {"target": "billing", "reason": "a desk said so", "summary": "she wants to pay"}
        await room.handoff.handle("lobby", "sales", given)
        await call.anna.say("my invoice is wrong", 3)
        assert prompts == ["You are sales.", "You are billing."]

    play(scene, Model(script, think=0.0, silence=0.1), Swarm(agents))


def test_nobody_hears_the_model_while_a_human_has_the_conversation() -> None:
    async def script(talk: Talk, heard: str) -> None:
        if heard == "a person please":
            await talk.call("handoff_conversation", target="human", reason="asked", summary="They want a person.")
        await talk.speak("still me")

    async def scene(call: Call) -> None:
        await call.anna.say("a person please", 6)
        assert call.session.room.talker is None
        heard = call.anna.text
        assert heard.startswith("I am passing you on")
        assert "still me" not in heard
        await call.anna.say("hello are you there", 4)
        assert call.anna.text == heard

    play(scene, Model(script), Swarm([host()], human=True))


def test_what_the_model_says_unasked_is_remembered() -> None:
    async def scene(call: Call) -> None:
        call.model.session.say("good evening")
        await call.anna.play(quiet(2))
        assert call.anna.text == "good evening"
        assert call.remembered == [("assistant", "good evening")]
        assert call.model.session.heard == []

    play(scene, Model(), Swarm([host()]))


def test_a_tool_that_is_called_late_is_run_and_what_comes_of_it_told() -> None:
    async def script(talk: Talk, heard: str) -> None:
        await talk.speak("one moment please")
        await talk.speak(f"it is {await talk.call('weather', place='rome')}")

    async def weather(place: str) -> str:
        """The weather at a place."""
        await asyncio.sleep(2)
        return "sunny"

    async def scene(call: Call) -> None:
        await call.anna.say("what about rome", 6)
        assert call.anna.text == "one moment please it is sunny"
        assert [role for role, _ in call.remembered] == ["user", "assistant", "assistant", "tool", "assistant"]

    play(scene, Model(script), Swarm([host(tools=[weather])]))


def test_a_session_that_is_lost_costs_a_reply_and_no_delivery() -> None:
    async def scene(call: Call) -> None:
        await call.anna.say("tell me", 1)
        call.model.broken = 2
        call.model.session.lose()
        receipt = await call.runtime.deliver("lobby", "the boats are here")
        await call.anna.play(quiet(15))
        assert (await receipt).status is Status.HEARD
        text = call.anna.text
        assert text.count("the boats are here") == 1
        assert text.index("Sorry,") < text.index("the boats")
        await call.anna.say("good morning", 3)
        assert call.anna.text.endswith("you said good morning")
        assert call.model.session.told[0].prompt == "You are the host."

    play(scene, Model(answers={"tell me": "here is a long answer that goes on for a good while"}), Swarm([host()]))


def test_who_hangs_up_and_comes_back_is_told_what_is_owed() -> None:
    async def scene(call: Call) -> None:
        await call.anna.say("tell me", 1)
        call.anna.end(hung_up=True)
        await asyncio.sleep(1)
        receipt = await call.runtime.deliver("lobby", "the boats are here")
        await asyncio.sleep(5)
        call.anna = call.join("anna")
        await call.anna.play(quiet(4))
        assert (await receipt).status is Status.HEARD
        assert call.anna.text == "the boats are here"

    play(scene, Model(answers={"tell me": "here is a long answer that goes on for a good while"}), Swarm([host()]))


def test_a_turn_that_a_hook_refuses_is_not_answered_by_the_model() -> None:
    async def scene(call: Call) -> None:
        @call.runtime.hook(HookTrigger.BEFORE_BROADCAST, execution=HookExecution.SYNC)
        async def before(event: HookEvent, context: HookContext) -> str:
            if "secret" in event.text:
                raise Refuse("not here")
            return event.text

        await call.anna.say("the secret please", 4)
        assert call.anna.text == ""
        await call.anna.say("good morning", 3)
        assert call.anna.text == "you said good morning"

    play(scene, Model(), Swarm([host()]))
