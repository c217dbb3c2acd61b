"""Every example is loaded as the command line loads it, and its main job is played in virtual time."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from delivery import Status
from orchestration import Runtime, get_conversation_state
from orchestration.handoff import HandoffNote
from orchestration.models.grammar import merged
from orchestration.models.scripted import Scripted
from orchestration.simulation import SimulatedCall, simulate
from orchestration.target import load
from voice.clock import run
from voice.stt.pocketsphinx import Pocketsphinx
from voice.stt.recognizer import Hints

VENDORS = {"livekit_plugins", "pipecat_services"}
"""Those that need somebody's plugins; see `test_cloud_examples`."""
EXAMPLES = [
    path for path in sorted((Path(__file__).parent.parent / "examples").glob("*.py")) if path.stem not in VENDORS
]
TICK = 0.02
Job = Callable[[SimulatedCall], Awaitable[None]]


@pytest.fixture
def loaded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    """The Runtime of an example, which leaves nothing behind in the interpreter."""
    path: Path = request.param
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, path.stem, raising=False)
    runtime = load(str(path))
    monkeypatch.setitem(sys.modules, path.stem, sys.modules[path.stem])
    return runtime


def play(runtime: Runtime, job: Job) -> None:
    async def main() -> None:
        async with simulate(runtime) as call:
            await job(call)

    run(main())


async def statuses(call: SimulatedCall) -> list[Status]:
    await call.silence(1)
    return [entry.status for entry in await call.runtime.ledger.entries(call.room, list(Status))]


def each(*names: str) -> pytest.MarkDecorator:
    chosen = [path for path in EXAMPLES if not names or path.stem in names]
    return pytest.mark.parametrize("loaded", chosen, ids=lambda path: path.stem, indirect=True)


@each()
def test_the_agent_greets_and_falls_silent(loaded: Runtime) -> None:
    assert loaded.orchestration is not None
    greeting = loaded.orchestration.agents()[0].greeting
    assert greeting

    async def job(call: SimulatedCall) -> None:
        line = await call.hears(greeting)
        assert line.started < TICK
        await call.silence(30)
        assert [line.heard for line in call.lines] == [greeting]

    play(loaded, job)


SCRIPTED = [
    path.stem
    for path in EXAMPLES
    if "Scripted(" in (text := path.read_text(encoding="utf-8")) and "Anthropic(" not in text
]
"""Those whose agents show what they understand."""


@each(*SCRIPTED)
def test_every_sentence_that_is_shown_is_understood(loaded: Runtime) -> None:
    assert loaded.orchestration is not None
    brain = loaded.orchestration.agents()[0].model
    assert isinstance(brain, Scripted)
    for sentence in brain.examples():

        async def job(call: SimulatedCall, sentence: str = sentence) -> None:
            await call.silence(10)
            heard = len(call.lines)
            await call.say(sentence)
            await call.silence(30)
            assert len(call.lines) > heard, f"{sentence!r} was not answered"
            pardon = [brain.fallback(sentence)] if callable(brain.fallback) else brain.fallback
            assert call.lines[heard].heard not in pardon, f"{sentence!r} was not understood"

        play(loaded, job)


@pytest.mark.speech
@each(*SCRIPTED)
def test_the_embedded_recogniser_can_listen_for_what_the_agents_understand(loaded: Runtime) -> None:
    if not Pocketsphinx.check().usable:
        pytest.skip(f"pocketsphinx is not installed: {Pocketsphinx.check().fix}")
    assert loaded.orchestration is not None
    models = [agent.model for agent in loaded.orchestration.agents()]
    grammars = [model.grammar() for model in models if isinstance(model, Scripted)]
    assert any(grammars)
    grammar = Pocketsphinx().grammar(Hints(merged(grammars)))  # raises for words that nobody can pronounce
    assert grammar is not None
    assert grammar.words


@each("demo")
def test_demo_the_talk_goes_on_and_the_result_is_told_in_silence(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        await call.hears("look into electric cars")
        _, asked = await call.say("look into electric cars")
        answer = await call.hears("I am on it")
        assert answer.started == pytest.approx(asked + 0.6 + 0.25, abs=TICK)  # the turn's silence, an analyst's grace
        await call.say("what time is it in rome")
        await call.hears("In Rome it is")
        await call.say("what is two plus three")
        await call.hears("is 5")
        result = await call.hears("what my analysts found")
        assert result.started == pytest.approx(call.floor_opened(before=result) + 1.0, abs=TICK)
        await call.hears("their batteries last ten years")
        await call.hears("break even after five years.")
        await call.silence(60)
        assert await statuses(call) == [Status.HEARD]
        assert sum("analysts found" in line.heard for line in call.lines) == 1

    play(loaded, job)


@each("demo")
def test_demo_what_was_cut_is_offered_after_the_answer_and_can_be_asked_for(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        await call.say("what about heat pumps")
        cut = await call.hears("three units")
        begun, _ = await call.interrupt("what is one plus one")
        answer = await call.hears("1 plus 1 is 2")
        rest = await call.hears("a third of that.")
        assert cut.ended is not None
        assert cut.ended - begun <= 0.12
        assert cut.started < answer.started < rest.started
        told = f"{cut.heard} {rest.heard.removeprefix('As I was saying: ')}"
        assert told.count("three units of heat for one of power") == 1
        assert await statuses(call) == [Status.HEARD]
        await call.say("say that again")
        again = await call.hears("a third of that.")
        assert "three units of heat for one of power" in again.heard

    play(loaded, job)


@each("demo")
def test_demo_who_hangs_up_hears_the_result_on_coming_back(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        await call.say("please look into night trains for me")
        await call.hears("on it")
        await call.hang_up()
        await call.silence(30)
        assert await statuses(call) == [Status.QUEUED]
        await call.rejoin()
        await call.hears("most routes need a subsidy.")
        assert await statuses(call) == [Status.HEARD]

    play(loaded, job)


@each("demo")
def test_demo_work_can_be_asked_about_and_dropped(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        await call.say("find out about wind power")
        await call.hears("on it.")
        await call.interrupt("how is it going")
        await call.hears("wind power")
        await call.interrupt("forget it")
        await call.hears("wind power")
        await call.silence(60)
        assert set(await statuses(call)) <= {Status.CANCELLED}
        assert not any("analysts found" in line.heard for line in call.lines)

    play(loaded, job)


@each("supervisor_parallel")
def test_supervisor_two_agents_work_at_once(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        _, asked = await call.say("please compare ships with cars")
        await call.hears("comparing ships and cars.")
        result = await call.hears("The analysts are back.")
        assert result.started == pytest.approx(asked + 0.6 + 8.0, abs=TICK)  # the turn's silence, the slower analyst
        await call.hears("Cars stand still for most of the day. Ships are cheap, if nobody is in a hurry.")
        await call.hears("more than they think.")
        assert await statuses(call) == [Status.HEARD]

    play(loaded, job)


@each("supervisor_parallel")
def test_supervisor_the_result_waits_until_the_talk_is_over(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        await call.say("compare trains and planes")
        await call.hears("meanwhile")
        await call.say("who are you")
        await call.hears("my analysts are scripts too.")
        result = await call.hears("The analysts are back.")
        assert result.started == pytest.approx(call.floor_opened(before=result) + 1.0, abs=TICK)
        await call.hears("in the air.")
        await call.say("say that again")
        await call.hears("Planes burn most of their fuel in the climb.")
        assert await statuses(call) == [Status.HEARD]

    play(loaded, job)


@each("loop_reviewers")
def test_loop_the_second_draft_is_approved_by_all_three_and_told(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        _, asked = await call.say("please write a welcome message for old friends")
        answer = await call.hears("Three colleagues will read it before you hear it.")
        result = await call.hears("All three have approved it.")
        assert answer.started < asked + 1.0
        assert result.started == pytest.approx(asked + 0.6 + 2 * 4.0, abs=TICK)  # the turn's silence, two reviews
        await call.hears("It reads: Welcome, old friends! The door is open, and the tea is hot.")
        assert await statuses(call) == [Status.HEARD]
        assert not any("counting the days" in line.heard for line in call.lines)

    play(loaded, job)


@each("loop_reviewers")
def test_loop_the_talk_goes_on_while_they_read(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        await call.say("write one for night owls")
        await call.hears("I am on it.")
        await call.interrupt("how is it going")
        await call.hears("working on")
        await call.interrupt("who will read it")
        await call.hears("one at the facts.")
        await call.say("what a lovely day")
        await call.hears("Sorry, I only write welcome messages.")
        result = await call.hears("It reads: Welcome, night owls!")
        assert result.started == pytest.approx(call.floor_opened(before=result) + 1.0, abs=TICK)
        await call.say("read it again")
        await call.hears("the tea is hot.")

    play(loaded, job)


@each("loop_reviewers")
def test_loop_who_drops_it_hears_nothing_of_it(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        await call.say("for our guests")
        await call.hears("I am on it.")
        await call.interrupt("forget it")
        await call.hears("I dropped")
        await call.silence(60)
        assert not any("approved it" in line.heard for line in call.lines)

    play(loaded, job)


@each("triage")
def test_triage_each_takes_over_in_the_same_breath_and_the_last_is_a_person(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        await call.hears("this is the front desk.")
        await call.say("what")
        await call.hears("Is it a bill, or a device?")
        await call.say("i have a question about my bill")
        line = await call.hears("connect you with billing. Billing here. Please tell me the three digits on your bill.")
        assert "front desk" not in line.heard
        await call.say("what")
        await call.hears("I need the three digits that are printed on your bill.")
        await call.say("one two three")
        await call.hears("Number one two three is paid.")
        await call.say("my phone does not work")
        await call.hears("I will get you technical support. Support here. Is the light on your box")
        await call.say("red")
        await call.hears("Then it has no line.")
        await call.say("my invoice is wrong")
        await call.hears("connect you with billing. Billing here.")
        await call.say("talk to a person")
        await call.hears("somebody will be with you soon.")
        state = get_conversation_state(call.runtime.room(call.room))
        takers = [step.to_agent for step in state.phase_history if step.from_agent]
        assert takers == ["billing", "support", "billing", None]
        assert state.with_human
        said = len(call.lines)
        await call.say("my phone does not work")
        await call.silence(10)
        assert len(call.lines) == said
        assert not any("did not work" in line.heard for line in call.lines)

    play(loaded, job)


@each("triage")
def test_triage_who_takes_over_is_told_what_it_is_about(loaded: Runtime) -> None:
    async def job(call: SimulatedCall) -> None:
        await call.say("my television is broken")
        await call.hears("Support here.")
        state = get_conversation_state(call.runtime.room(call.room))
        assert state.active_agent_id == "support"
        note = HandoffNote.of(state)
        assert note is not None
        assert note.summary == "Something of the caller's does not work: television."

    play(loaded, job)
