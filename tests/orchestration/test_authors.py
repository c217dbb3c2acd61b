"""Whose words an utterance has: counted by itself, and as a page is told of it in whole calls in virtual time."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestration import Agent, Loop, Supervisor, Swarm
from orchestration.authors import Authors
from orchestration.models.model import ToolCall
from orchestration.models.prepared import Prepared
from orchestration.models.scripted import Intent, Scripted
from orchestration.simulation import SimulatedCall
from orchestration.workers import Context, worker
from tests.orchestration.relay import ASK, agent, aloud, hand
from voice.clock import now


def test_an_agents_part_begins_with_its_first_character() -> None:
    authors = Authors()
    for who, piece in (("sales", "One "), ("sales", "moment."), ("support", ""), ("support", " Support"), ("a", " b")):
        authors.wrote(who, piece)
    assert authors.begun == [(0, "sales"), (11, "support"), (19, "a")]
    assert authors.chars == 21


def test_what_is_one_agents_from_the_beginning() -> None:
    assert (Authors("sales").begun, Authors().begun) == ([(0, "sales")], [])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.text(max_size=3)), max_size=20))
def test_the_parts_give_back_who_wrote_each_character(pieces: list[tuple[str, str]]) -> None:
    authors = Authors()
    for who, piece in pieces:
        authors.wrote(who, piece)
    marks = dict(authors.begun)
    shown, who = "", ""
    for place in range(authors.chars):
        who = marks.get(place, who)
        shown += who
    assert shown == "".join(who * len(piece) for who, piece in pieces)


def page(call: SimulatedCall) -> dict[str, Any]:
    """All that a page knows that comes now."""
    session = call.runtime.session(call.room)
    assert session is not None
    return session.shown.panel.snapshot(now())


def parts(call: SimulatedCall) -> list[list[tuple[str, str]]]:
    """The agents' words, utterance by utterance: who, and what."""
    shown = []
    for row in page(call)["utterances"]:
        starts = [part["start"] for part in row["agents"]] + [len(row["text"])]
        names = [part["name"] for part in row["agents"]]
        shown.append([(name, row["text"][starts[n] : starts[n + 1]].strip()) for n, name in enumerate(names)])
    return shown


def test_a_handoff_in_mid_answer_is_where_the_next_agent_begins() -> None:
    sales = agent("sales", ["You need support.", hand("support")], greeting="Hello.")
    support = agent("support", "Support here. What is broken?", [hand("human")])

    async def script(call: SimulatedCall) -> None:
        await call.hears("hello.")
        assert page(call)["holder"]["agent"] == "Sales"
        await call.say("it does not work")
        line = await call.hears("what is broken?")
        assert parts(call) == [
            [("Sales", "Hello.")],
            [("Sales", "You need support."), ("Support", "Support here. What is broken?")],
        ]
        shown = page(call)
        answer = shown["utterances"][1]
        (handoff,) = shown["handoffs"]
        at = handoff.pop("at")
        assert handoff == {"from": "Sales", "to": "Support", "back": False, "utterance": answer["id"], "chars": 17}
        assert shown["holder"] == {"agent": "Support", "at": at}
        first, second = (part["heard"] for part in answer["agents"])
        assert line.started <= first < second < now()
        assert at < second
        await call.say("i want a person")
        await call.hears("i am passing you on to a colleague; please hold on.")
        shown = page(call)
        assert [(each["from"], each["to"]) for each in shown["handoffs"]] == [("Sales", "Support"), ("Support", None)]
        assert shown["holder"]["agent"] is None

    aloud(script, Swarm([sales, support], human=True))


def test_what_agents_tell_each_other_about_a_caller_is_not_for_the_page() -> None:
    secret = {"reason": "The caller is angry.", "summary": "Ann owes us euros."}
    sales = agent("sales", [ToolCall("c1", "handoff_conversation", {"target": "support", **secret})])

    async def script(call: SimulatedCall) -> None:
        await call.say("hello")
        await call.hears("support here.")
        shown = str(page(call))
        assert "Support" in shown
        assert not any(word in shown for word in ("angry", "euros"))

    aloud(script, Swarm([sales, agent("support")]))


def test_a_silent_handoff_leaves_nothing_to_who_gave_away() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("hello")
        await call.hears("support here.")
        assert parts(call) == [[("Support", "support here.")]]
        assert page(call)["handoffs"][0]["chars"] == 0

    aloud(script, Swarm([agent("sales", [hand("support")]), agent("support")]))


def test_a_handoff_from_outside_is_in_no_utterance() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.silence(1)
        handler: Any = call.runtime.room(call.room).handoff
        await handler.handle(call.room, "sales", {"target": "support", **ASK})
        (handoff,) = page(call)["handoffs"]
        assert (handoff["utterance"], handoff["chars"], handoff["to"]) == (None, 0, "Support")
        assert page(call)["holder"]["agent"] == "Support"

    aloud(script, Swarm([agent("sales"), agent("support")]))


def test_an_agent_that_does_not_answer_gives_it_back_on_the_page_too() -> None:
    sales = agent("sales", ["I get support.", hand("support")])

    async def script(call: SimulatedCall) -> None:
        await call.say("it is broken")
        await call.hears("ask me again?")
        shown = page(call)
        assert [(row["from"], row["to"], row["back"]) for row in shown["handoffs"]] == [
            ("Sales", "Support", False),
            ("Support", "Sales", True),
        ]
        assert shown["holder"]["agent"] == "Sales"

    aloud(script, Swarm([sales, agent("support", RuntimeError("no key"))]))


def test_who_looks_on_and_intervenes_says_it() -> None:
    boss = agent("boss", [ToolCall("i1", "intervene", {"message": "It is ten francs."})], "ok")

    async def script(call: SimulatedCall) -> None:
        await call.say("what does it cost")
        await call.hears("it is ten francs.")
        assert parts(call) == [[("Sales", "Ten thousand.")], [("Boss", "It is ten francs.")]]

    aloud(script, Swarm([agent("sales", "Ten thousand."), agent("support")], supervisor=boss))


def test_a_role_that_is_no_name_is_not_shown_as_one() -> None:
    long = Agent("sales", model=Prepared(["here."]), role="Sells what there is, and says " + "so " * 20)

    async def script(call: SimulatedCall) -> None:
        await call.say("hello")
        await call.hears("here.")
        assert parts(call) == [[("sales", "here.")]]

    aloud(script, Swarm([long, Agent("support", model=Prepared(["yes."]))]))


def test_two_of_one_role_are_told_apart() -> None:
    twins = [Agent(id, model=Prepared([f"{id} here."]), role="Clerk") for id in ("one", "two")]

    async def script(call: SimulatedCall) -> None:
        await call.say("hello")
        await call.hears("one here.")
        assert parts(call) == [[("Clerk (one)", "one here.")]]

    aloud(script, Swarm(twins))


def test_where_one_agent_talks_nobody_needs_to_be_told_who_has_the_conversation() -> None:
    @worker(role="Analyst")
    async def analyst(topic: str, context: Context) -> str:
        return topic

    async def script(call: SimulatedCall) -> None:
        await call.say("hello")
        await call.hears("hi.")
        assert (page(call)["holder"], parts(call)) == (None, [[("host", "hi.")]])

    aloud(script, Supervisor(Agent("host", model=Prepared(["hi."])), [analyst]))


def test_the_parts_of_a_review_loop_have_their_round() -> None:
    approve = ToolCall("approve", "approve_output")
    script_of = Scripted([Intent(["write it"], call="delegate_loop", arguments=lambda _: {"task": "a word"})])
    host = Agent("host", model=script_of)
    writer = Agent("writer", role="Writer", model=Prepared(["too long a word", "word"]))
    editor = Agent("editor", role="Editor", model=Prepared(["Shorter.", [approve]]))

    async def script(call: SimulatedCall) -> None:
        await call.say("write it")
        await call.silence(30)
        rows = page(call)["tasks"]
        assert [(row["label"], row["round"], row["status"]) for row in rows] == [
            ("a word", 0, "done"),
            ("Writer", 1, "done"),
            ("Editor", 1, "done"),
            ("Writer", 2, "done"),
            ("Editor", 2, "done"),
        ]

    aloud(script, Loop(writer, reviewer=editor, host=host))
