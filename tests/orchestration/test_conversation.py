"""Turns and replies: who is answered, what the agent remembers of what was heard, and whose result a reply carries."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from delivery import Status
from orchestration import Agent, Orchestration, Runtime
from orchestration.fence import tell
from orchestration.models.model import Message, Role
from orchestration.models.scripted import RESULT
from orchestration.simulation import SimulatedCall, simulate
from orchestration.tools import tool
from tests.orchestration.models.double import Double, Part, calls
from tests.orchestration.test_fence import HOSTILE
from voice.clock import now, run
from voice.events import Turn, TurnEnded
from voice.floor import FloorState

STORY = "one two three four five six seven eight nine ten eleven twelve."


class Talks(Orchestration):
    """One agent talks, with these tools of the room."""

    def __init__(self, agent: Agent | None, *tools: Callable[..., Any]) -> None:
        self.agent, self.tools = agent, tools

    def agents(self) -> Sequence[Agent]:
        return [self.agent] if self.agent else []

    async def install(self, runtime: Runtime, room_id: str) -> None:
        room = runtime.room(room_id)
        room.talker = self.agent
        room.equip(*map(tool, self.tools))


def play(
    script: Callable[[SimulatedCall], Awaitable[None]],
    model: Double | None,
    *tools: Callable[..., Any],
    greeting: str = "",
) -> None:
    agent = Agent("host", model=model, greeting=greeting) if model else None
    runtime = Runtime(orchestration=Talks(agent, *tools), state=None)

    async def main() -> None:
        async with simulate(runtime) as call:
            running.append(call)
            await script(call)

    running.clear()
    run(main())


running: list[SimulatedCall] = []


def talk(*replies: list[Part]) -> Double:
    return Double(replies)


def shown(model: Double, request: int = -1) -> list[str]:
    """What the model was shown, in short."""
    return [f"{m.role}: {m.text}" + "".join(f" +{c.id}" for c in m.tool_calls) for m in model.asked[request].messages]


async def slow(seconds: float = 4.0) -> str:
    await asyncio.sleep(seconds)
    return f"slept {seconds:g}"


# -- who is answered


def test_a_turn_is_answered_and_both_are_remembered() -> None:
    model = talk(["good day."], ["fine."])

    async def script(call: SimulatedCall) -> None:
        await call.say("hello there")
        await call.hears("good day.")
        await call.say("how are you")
        await call.hears("fine.")
        assert shown(model) == ["user: hello there", "assistant: good day.", "user: how are you"]

    play(script, model)


def test_a_caller_is_greeted_once_and_the_agent_remembers_it() -> None:
    model = talk(["fine."])

    async def script(call: SimulatedCall) -> None:
        await call.hears("welcome.")
        await call.hang_up()
        await call.silence(5)
        await call.rejoin()
        await call.silence(5)
        assert [line.heard for line in call.lines] == ["welcome."]
        bob = call.joined_by("bob")
        await bob.hears("welcome.")
        await call.say("how are you")
        await call.hears("fine.")
        assert shown(model) == ["assistant: welcome.", "assistant: welcome.", "user: how are you"]

    play(script, model, greeting="welcome.")


def test_a_room_without_an_agent_owes_nobody_an_answer() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("is anybody here")
        await call.silence(2)
        assert call.floor[-1][1] is FloorState.OPEN
        assert list(call.lines) == []
        await (await call.runtime.deliver(call.room, "the boat is here.", speak_as="agent"))
        assert call.lines[-1].heard == "the boat is here."

    play(script, None)


def test_a_new_turn_is_answered_instead_of_one_that_is_still_thought_about() -> None:
    model = talk([10.0, "never."], ["at once."])

    async def script(call: SimulatedCall) -> None:
        await call.say("think about it")
        await call.silence(2)
        await call.say("how are you")
        await call.hears("at once.")
        assert shown(model) == ["user: think about it", "user: how are you"]
        assert model.open == 0

    play(script, model)


def test_words_that_are_a_guess_are_marked() -> None:
    model = talk(["pardon."])

    async def script(call: SimulatedCall) -> None:
        session = call.runtime.session(call.room)
        assert session is not None
        turn = Turn("t1", "caller", "how are you", now(), now(), confidence=0.4)
        session.channel.tell(TurnEnded(turn))  # type: ignore[attr-defined]
        await call.hears("pardon.")
        assert shown(model) == ["user: (unclear) how are you"]

    play(script, model)


# -- what is remembered


def test_of_a_reply_that_is_cut_what_was_heard_is_remembered() -> None:
    model = talk([STORY], ["all right."])

    async def script(call: SimulatedCall) -> None:
        await call.say("tell me")
        await call.hears("three")
        await call.interrupt("that is enough now")
        await call.hears("all right.")
        heard = call.lines[0].heard
        assert heard.startswith("one two three")
        assert "twelve" not in heard
        assert shown(model) == ["user: tell me", f"assistant: {heard} (cut off here)", "user: that is enough now"]

    play(script, model)


def test_what_tools_said_is_remembered_before_what_was_heard() -> None:
    model = talk(["one moment. ", calls("slow")], ["it is done."], ["fine."])

    async def script(call: SimulatedCall) -> None:
        await call.say("do it")
        await call.hears("it is done.")
        await call.say("how are you")
        await call.hears("fine.")
        assert shown(model) == [
            "user: do it",
            "assistant:  +c1",
            "tool: slept 4",
            "assistant: one moment. it is done.",
            "user: how are you",
        ]

    play(script, model, slow)


def test_a_tool_that_ends_after_its_reply_was_cut_is_remembered_all_the_same() -> None:
    model = talk(
        ["one moment. ", calls("slow", "a", seconds=1), calls("slow", "b", seconds=9)], ["all right."], ["fine."]
    )

    async def script(call: SimulatedCall) -> None:
        await call.say("do it")
        await call.hears("one moment.")
        await call.silence(2)
        await call.interrupt("and be quick about it")
        await call.hears("all right.")
        assert shown(model)[:3] == ["user: do it", "assistant:  +a", "tool: slept 1"]
        await call.silence(9)
        await call.say("how are you")
        await call.hears("fine.")
        assert shown(model)[-5:] == [
            "user: and be quick about it",
            "assistant: all right.",
            "assistant:  +b",
            "tool: slept 9",
            "user: how are you",
        ]

    play(script, model, slow)


def test_a_model_that_fails_is_apologised_for_and_the_talk_goes_on() -> None:
    model = talk([OSError("no network")], ["good day."])

    async def script(call: SimulatedCall) -> None:
        await call.say("hello there")
        await call.hears("sorry")
        await call.say("hello there")
        await call.hears("good day.")

    play(script, model)


def test_a_model_that_only_calls_tools_is_apologised_for() -> None:
    async def again() -> str:
        return "again"

    async def script(call: SimulatedCall) -> None:
        await call.say("hello there")
        await call.hears("sorry")

    play(script, talk([calls("again")]), again)


# -- whose result a reply carries


async def carried(ids: str) -> str:
    """Puts a result into the ledger, takes its time, and has the reply carry it."""
    call = running[0]
    await call.runtime.deliver(call.room, f"result {ids}.", id=ids, strategy="queued")
    await asyncio.sleep(0.2)
    taken.append(call.runtime.carry(call.room, ids))
    return f"result {ids}."


taken: list[bool] = []


async def status(call: SimulatedCall, id: str) -> Status:
    return await call.runtime.receipt(id).status()


def test_a_result_that_a_reply_carries_is_heard_with_it() -> None:
    taken.clear()

    async def script(call: SimulatedCall) -> None:
        await call.say("do it")
        await call.hears("here: result a.")
        await call.silence(5)
        assert taken == [True]
        assert await status(call, "a") is Status.HEARD
        assert len(call.lines) == 1

    play(script, talk([calls("carried", ids="a")], ["here: result a."]), carried)


def test_a_result_whose_reply_is_cut_is_owed() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("do it")
        await call.hears("three")
        await call.interrupt("wait a moment please")
        await call.hears("all right.")
        await call.hears("result a.")
        assert await (await call.runtime.receipt("a").queued()) is not None
        assert await status(call, "a") is Status.HEARD

    play(script, talk([calls("carried", ids="a")], [STORY, " result a."], ["all right."]), carried)


def test_a_result_that_comes_after_its_reply_was_cut_is_not_taken_for_said_by_the_next_one() -> None:
    taken.clear()

    async def late(ids: str) -> str:
        await asyncio.sleep(4)
        return await carried(ids)

    model = talk(["one moment. ", calls("late", ids="a")], [1.5, STORY])

    async def script(call: SimulatedCall) -> None:
        await call.say("do it")
        await call.hears("one moment.")
        await call.interrupt("and tell me a story")
        await call.hears("twelve")
        assert taken == [False]
        await call.hears("result a.")
        assert await status(call, "a") is not Status.QUEUED

    play(script, model, late)


def test_a_tool_knows_for_whom_it_was_called_also_when_another_is_answered_by_then() -> None:
    speakers: list[str | None] = []

    async def who() -> str:
        call = running[0]
        speakers.append(call.runtime.speaker(call.room))
        await asyncio.sleep(4)
        speakers.append(call.runtime.speaker(call.room))
        return "done"

    async def script(call: SimulatedCall) -> None:
        bob = call.joined_by("bob")
        await call.say("do it")
        await call.hears("one moment.")
        await bob.interrupt("how are you")
        await call.silence(0.7)
        assert call.runtime.speaker(call.room) == "bob"
        await call.silence(10)
        assert speakers == ["caller", "caller"]
        assert call.runtime.speaker(call.room) is None
        assert call.runtime.speaker("elsewhere") is None

    play(script, talk(["one moment. ", calls("who")], [2.0, "fine."]), who)


def test_nothing_is_carried_where_no_reply_is() -> None:
    async def script(call: SimulatedCall) -> None:
        assert not call.runtime.carry(call.room, "a")
        assert not call.runtime.carry("elsewhere", "a")

    play(script, talk(["x"]))


# -- results in the agent's words


@pytest.mark.parametrize("content", HOSTILE)
def test_a_hostile_result_is_shown_to_the_model_as_data_and_with_no_tool(content: str) -> None:
    model = talk(["fine."], ["my words."])

    async def script(call: SimulatedCall) -> None:
        await call.say("how are you")
        await call.hears("fine.")
        await call.runtime.deliver(call.room, content, speak_as="agent")
        await call.hears("my words.")
        *before, asked = model.asked[-1].messages
        assert before == [Message(Role.USER, "how are you"), Message(Role.ASSISTANT, "fine.")]
        assert asked.role is Role.USER
        inside = RESULT.search(asked.text)
        assert inside is not None
        assert inside["text"].replace("‹", "<") == " ".join(content.split())
        assert asked.text == tell([inside["text"]], inside["key"])
        assert model.asked[0].tools == ("slow",)
        assert model.asked[-1].tools == ()
        assert model.asked[-1].prompt == model.asked[0].prompt

    play(script, model, slow)


def test_the_agent_remembers_what_it_told() -> None:
    model = talk(["my words."], ["fine."])

    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "boats float", speak_as="agent")
        await call.hears("my words.")
        await call.say("how are you")
        await call.hears("fine.")
        assert model.asked[-1].messages[0] == Message(Role.ASSISTANT, "my words.")

    play(script, model)


def test_an_agent_that_cannot_word_a_result_does_not_keep_it_back() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.runtime.deliver(call.room, "boats float.", speak_as="agent")
        await call.hears("boats float.")

    play(script, talk([OSError("no network")]))


@pytest.mark.parametrize("after", [0.0, 2.0])
@pytest.mark.parametrize("back", [0.1, 30.0])
def test_a_result_whose_reply_only_another_caller_hears_is_owed(after: float, back: float) -> None:
    async def look() -> str:
        """For who asked."""
        call = running[0]
        await call.runtime.deliver(call.room, "result a.", id="a", strategy="queued", to="caller", fold=False)
        call.runtime.carry(call.room, "a")
        return "result a."

    async def script(call: SimulatedCall) -> None:
        bert = call.joined_by("bert")
        await call.interrupt("do it")
        await call.silence(0.7 + after)
        call.caller.drop()
        await call.silence(back)
        call.caller.reconnect()
        await call.silence(40)
        assert bert.lines[0].heard == "here: result a and that is all there is to it."
        assert await status(call, "a") is Status.HEARD
        assert any("result a." in line.heard for line in call.lines)

    long = "here: result a and that is all there is to it."
    play(script, talk([calls("look")], [long], ["Fine."]), look)


def test_a_result_is_told_once_to_who_was_away_only_before_the_answer_began() -> None:
    async def look() -> str:
        """For who asked."""
        call = running[0]
        await call.runtime.deliver(call.room, "result a.", id="a", strategy="queued", to="caller", fold=False)
        call.runtime.carry(call.room, "a")
        await asyncio.sleep(3)
        return "result a."

    async def script(call: SimulatedCall) -> None:
        call.joined_by("bert")
        await call.interrupt("do it")
        await call.silence(1)
        call.caller.drop()
        await call.silence(1)
        call.caller.reconnect()
        await call.silence(40)
        assert [line.heard for line in call.lines] == ["here: result a."]
        assert await status(call, "a") is Status.HEARD

    play(script, talk([calls("look")], ["here: result a."], ["Fine."]), look)
