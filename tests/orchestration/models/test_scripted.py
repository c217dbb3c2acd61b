"""The scripted model: what it understands, what it says to it, and what it makes of tools and results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from orchestration import Agent, HandoffMemoryProvider, HandoffRules, SlidingWindowMemory, Verdict
from orchestration.fence import tell
from orchestration.handoff import Handoff
from orchestration.handoff_chain import HandoffChain
from orchestration.handoff_request import HANDOFF_TOOL
from orchestration.models.model import Message, Role, TextDelta, ToolCall, ToolSpec
from orchestration.models.scripted import Intent, Scripted
from orchestration.state import ConversationState
from orchestration.tools import STARTED
from orchestration.workers import AgentWorker
from tests.orchestration.workers.bench import Bench
from voice.clock import run

LOOK = ToolSpec("look", "", {})
TOPICS = {"topic": ["boats", "night trains"]}


def said(text: str) -> Message:
    return Message(Role.USER, text)


def deltas(model: Scripted, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[Any]:
    async def main() -> list[Any]:
        return [delta async for delta in model.stream(messages, tools=tools)]

    return run(main())


def answer(model: Scripted, *messages: Message | str, tools: Sequence[ToolSpec] = (LOOK,)) -> str:
    """What it says, word by word."""
    got = deltas(model, [said(m) if isinstance(m, str) else m for m in messages], tools)
    assert all(isinstance(delta, TextDelta) and len(delta.text.split()) == 1 for delta in got)
    return "".join(delta.text for delta in got)


def after_tool(model: Scripted, result: str, asked: str = "look into boats") -> str:
    call = ToolCall("c1", "look", {})
    return answer(model, asked, Message(Role.ASSISTANT, "", (call,)), Message(Role.TOOL, result, call="c1"))


def looking(line: Any = "I am looking into {topic}.") -> Scripted:
    return Scripted(
        [
            Intent(["look into {topic}"], answer=line, call="look", arguments=lambda slots: {"task": slots["topic"]}),
            Intent(["hello [there]", "good morning"], answer="Good day."),
            Intent(["hello there"], answer="never, the first one counts"),
            Intent(["repeat {word} and {word}"], answer="{word2}, {word}, {nothing}."),
            Intent(["spell {word}"], answer=lambda slots: "-".join(slots["word"])),
        ],
        slots=TOPICS,
        fallback=("Pardon?",),
    )


def test_it_answers_what_it_understands() -> None:
    assert answer(looking(), "Hello!") == "Good day."
    assert answer(looking(), "GOOD MORNING...") == "Good day."
    assert answer(looking(), "hello there") == "Good day."


def test_slots_fill_its_lines_and_missing_ones_are_empty() -> None:
    assert answer(looking(), "repeat one and two") == "two, one, ."
    assert answer(looking(), "spell abc") == "a-b-c"


@pytest.mark.parametrize("text", ["", "   ", "?!", "look into", "look into bananas", "(unclear) hello", "hello " * 500])
def test_what_it_does_not_understand_it_says_so(text: str) -> None:
    assert answer(looking(), text) == "Pardon?"


def test_its_other_lines_come_in_turn_and_the_same_conversation_gets_the_same() -> None:
    model = Scripted([Intent(["hello"])], fallback=("one", "two", "three"))
    talk: list[Message] = []
    heard = []
    for _ in range(4):
        talk.append(said("what?"))
        heard.append(answer(model, *talk))
        talk.append(Message(Role.ASSISTANT, heard[-1]))
    assert heard == ["one", "two", "three", "one"]
    assert answer(model, "what?") == "one"


def test_it_calls_a_tool_with_what_was_said() -> None:
    (call,) = deltas(looking(), [said("look into night trains")], [LOOK])
    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("look", {"task": "night trains"})


def test_its_calls_have_ids_of_their_own() -> None:
    model = looking()
    ids = {deltas(model, [said("look into boats")], [LOOK])[0].id for _ in range(20)}
    assert len(ids) == 20


def test_a_tool_that_is_not_there_is_not_promised(caplog: pytest.LogCaptureFixture) -> None:
    assert answer(looking(), "look into boats", tools=()) == "Pardon?"
    assert "no tool 'look'" in caplog.text


@pytest.mark.parametrize(
    ("line", "result", "told"),
    [
        ("Looking into {topic}.", f"{STARTED} say you are on it", "Looking into boats."),
        ("Looking into {topic}.", "Boats float.", "Boats float."),
        ("", f"{STARTED} say you are on it", "say you are on it"),
        ("", "Boats float.", "Boats float."),
        ("So: {result}", "Boats float.", "So: Boats float."),
        ("So: {result}", f"{STARTED} wait", "So: wait"),
        (lambda slots: f"On {slots['topic']}: {slots['result']}", f"{STARTED} wait", "On boats: wait"),
        (lambda slots: "never", "Boats float.", "Boats float."),
        ("On it.", "error: no network at 10.0.0.1", "I am sorry, that did not work."),
        ("On it.", "{weird} {0} %s", "{weird} {0} %s"),
    ],
)
def test_what_a_tool_said_is_told(line: Any, result: str, told: str) -> None:
    assert after_tool(looking(line), result) == told


def test_what_a_tool_said_to_a_question_that_is_forgotten_is_read_out() -> None:
    assert answer(looking(), Message(Role.TOOL, "Boats float.", call="c9")) == "Boats float."
    assert after_tool(looking(), "Boats float.", asked="gibberish") == "Boats float."


@pytest.mark.parametrize("result", ["Boats float.", "Two\nlines.", "{topic} {} }{", "<b>bold</b>", ""])
def test_a_result_to_be_told_is_told_as_it_is(result: str) -> None:
    model = Scripted([Intent(["hello"])], telling=("News: {result} That is all.",))
    assert answer(model, "hello", tell([result])) == f"News: {result} That is all."


def test_its_grammar_is_jsgf() -> None:
    assert looking().grammar().splitlines() == [
        "#JSGF V1.0;",
        "grammar sottovoce;",
        "<topic> = boats | night trains;",
        "public <said> = ( look into <topic> ) | ( hello [ there ] ) | ( good morning ) | ( hello there );",
    ]


def test_a_model_for_any_words_only_has_no_grammar() -> None:
    assert Scripted([Intent(["tell me about {topic}"])]).grammar() == ""


def test_people_are_shown_a_sentence_for_each_intent() -> None:
    model = Scripted(
        [Intent(["[please] look into {topic} [now]", "what of {topic}"]), Intent(["hi"], shown="hi, I am Ann")],
        slots=TOPICS,
    )
    assert model.examples() == ["look into boats", "hi, I am Ann"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"intents": [Intent("hello")]}, "Intent.says: give a list of texts, not 'hello'"),
        ({"intents": [Intent([])]}, r"Intent.says: give a list of texts, not \[\]"),
        ({"intents": [Intent(["look [at"])]}, r"pattern 'look \[at': '\[' is not closed"),
        ({"intents": [Intent(["hi"], answer="hello {")]}, "line 'hello {': "),
        ({"intents": [Intent(["hi"], call="look", before="hello {0}")]}, "'0' is no name of a slot"),
        ({"intents": [Intent(["hi"], before="Well.")]}, "Intent.before: 'Well.' is said before a call; name the tool"),
        ({"intents": [Intent(["hi"], answer="hello {0}")]}, "'0' is no name of a slot"),
        ({"intents": [Intent(["hi"], answer="hello {}")]}, "'' is no name of a slot; a brace itself"),
        ({"slots": {"topic": []}}, r"slots\['topic'\]: give a list of texts, not \[\]"),
        ({"slots": {"topic": "boats"}}, "give a list of texts, not 'boats'"),
        ({"slots": {"topic": ["boats", "?"]}}, r"slots\['topic'\]: one of its words is empty"),
        ({"fallback": ()}, "fallback: give a list"),
        ({"fallback": "Pardon?"}, r"fallback: give a list of texts, not 'Pardon\?'"),
        ({"taking_over": "Here I am."}, "taking_over: give a list of texts, not 'Here I am.'"),
        ({"telling": "News: {result}"}, "telling: give a list"),
        ({"telling": ("News!",)}, "telling: 'News!' leaves the result out"),
    ],
)
def test_a_script_with_a_mistake_is_refused_when_it_is_made(given: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        Scripted(**{"intents": [Intent(["hello"])], **given})


def test_braces_can_be_said() -> None:
    assert answer(Scripted([Intent(["hi"], answer="{{hi}}")]), "hi") == "{hi}"


def test_it_works_on_whatever_the_task_is() -> None:
    researcher = Scripted([Intent(["hello"], answer="Good day.")], fallback=lambda task: f"All there is on {task}.")
    result = Bench().run(AgentWorker(Agent("researcher", model=researcher)), "night trains?")
    assert (result.text, result.error) == ("All there is on night trains?.", None)
    assert answer(researcher, "Hello!") == "Good day."


def test_it_approves_what_has_been_changed() -> None:
    reviewer = Scripted([Intent(["hello"])], fallback=lambda work: "APPROVED" if "short" in work else "Too long.")
    assert Verdict.of(answer(reviewer, "A long text.")) == Verdict(False, "Too long.")
    assert Verdict.of(answer(reviewer, "A short text.")).approved


# -- several agents of one room

BILLING = Intent(
    ["a question about my {thing}"],
    call="handoff_conversation",
    before="One moment, I will connect you about your {thing}.",
    arguments=lambda slots: {
        "target": "billing",
        "reason": "a bill",
        "summary": f"It is about their {slots['thing']}.",
    },
)


def handed(giver: Scripted, asked: str, *talk: Message) -> list[Message]:
    """What the agent `billing` is shown, after `giver` handed the conversation over: by the real rules and memory."""
    call = deltas(giver, [said(asked)], [HANDOFF_TOOL])[-1]
    assert isinstance(call, ToolCall)
    assert call.name == HANDOFF_TOOL.name
    rules = HandoffRules({"triage": "", "billing": ""})
    begun = ConversationState(active_agent_id="triage")
    made = rules.decide(begun, "triage", call.arguments, HandoffChain(0.0), now=0.0)
    assert isinstance(made, Handoff)
    memory = HandoffMemoryProvider(SlidingWindowMemory())
    memory.add(said(asked), *talk)
    return list(memory.messages("billing", made.state))


def test_it_says_something_and_hands_the_conversation_over() -> None:
    *words, call = deltas(Scripted([BILLING]), [said("a question about my bill")], [HANDOFF_TOOL])
    assert "".join(delta.text for delta in words) == "One moment, I will connect you about your bill."
    assert call.arguments == {"target": "billing", "reason": "a bill", "summary": "It is about their bill."}


def test_nothing_is_said_before_a_call_that_cannot_be_made() -> None:
    assert answer(Scripted([BILLING], fallback=("Pardon?",)), "a question about my bill") == "Pardon?"


@pytest.mark.parametrize(("result", "after"), [("Boats float.", "Boats float."), ("error: no", "I am sorry, that did")])
def test_what_comes_after_a_call_is_apart_from_what_was_said_before(result: str, after: str) -> None:
    model = Scripted([Intent(["look into boats"], call="look", before=lambda slots: "Let me see.")])
    assert deltas(model, [said("look into boats")], [LOOK])[:-1] == [
        TextDelta("Let "),
        TextDelta("me "),
        TextDelta("see."),
    ]
    call = Message(Role.ASSISTANT, "Let me see.", (ToolCall("c1", "look", {}),))
    got = deltas(model, [said("look into boats"), call, Message(Role.TOOL, result, call="c1")])
    assert "".join(delta.text for delta in got).startswith(f" {after}")


def clerk() -> Scripted:
    return Scripted(
        [Intent(["the number is {number}"], answer="Thank you.")],
        taking_over=("Billing here. What is the number?", "This is billing. Which number is it?"),
        fallback=("Pardon?",),
    )


def test_who_is_handed_what_it_does_not_understand_says_that_it_takes_over() -> None:
    shown = handed(Scripted([BILLING]), "a question about my bill")
    assert shown[-1] == said("a question about my bill")
    assert answer(clerk(), *shown) == clerk().taking_over[len(shown) // 2 % 2]
    assert answer(Scripted([], fallback=("Pardon?",)), *shown) == "Pardon?"


def test_who_is_handed_what_it_understands_answers_that() -> None:
    clever = Scripted([Intent(["a question about my bill"], answer="It is paid.")], taking_over=("Billing here.",))
    assert answer(clever, *handed(Scripted([BILLING]), "a question about my bill")) == "It is paid."


def test_it_says_once_that_it_takes_over() -> None:
    talk = [
        Message(Role.ASSISTANT, "One moment. Billing here. What is the number?"),
        said("the number is seven"),
        Message(Role.ASSISTANT, "Thank you."),
        said("something else"),
    ]
    assert answer(clerk(), *handed(Scripted([BILLING]), "a question about my bill", *talk)) == "Pardon?"


def test_it_says_so_again_if_nobody_heard_it_and_when_it_is_handed_the_conversation_again() -> None:
    cut = [Message(Role.ASSISTANT, "One moment. Billing (cut off here)"), said("what")]
    assert answer(clerk(), *handed(Scripted([BILLING]), "a question about my bill", *cut)) in clerk().taking_over
    call = ToolCall("c1", "handoff_conversation", {"target": "triage"})
    back = [
        Message(Role.ASSISTANT, "Billing here. What is the number?"),
        said("no, my internet is broken"),
        Message(Role.ASSISTANT, "", (call,)),
        Message(Role.TOOL, "done", call="c1"),
        Message(Role.ASSISTANT, "One moment. Triage here."),
        said("a question about my bill"),
    ]
    assert answer(clerk(), *handed(Scripted([BILLING]), "a question about my bill", *back)) in clerk().taking_over


def test_who_was_handed_nothing_takes_nothing_over() -> None:
    assert answer(clerk(), "a question about my bill") == "Pardon?"
