"""The demo understands what its page says it does, and its main job works."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from delivery import Status
from examples.demo import BUSINESS, NUMBERS, TECHNICAL, brain, the_sum
from orchestration.admission import RuntimeGate
from orchestration.simulation import SimulatedCall, simulate
from orchestration.target import load
from voice.clock import run

DEMO = Path(__file__).parents[2] / "examples" / "demo.py"
PHRASES = brain.examples()


def play(script: Callable[[SimulatedCall], Awaitable[None]]) -> None:
    async def main() -> None:
        async with simulate(load(str(DEMO))) as call:
            await call.hears("ask me to look into")
            await script(call)

    run(main())


@pytest.mark.parametrize("phrase", [phrase for phrase in PHRASES if phrase != "yes"])  # that only says "I hear you"
def test_every_sentence_on_the_page_is_understood_and_answered(phrase: str) -> None:
    async def script(call: SimulatedCall) -> None:
        before = len(call.lines)
        await call.say(phrase)
        await call.silence(8)
        answer = call.lines[before].heard
        assert answer.strip()
        assert not any(answer.startswith(line[:20]) for line in brain.fallback)
        assert "{" not in answer

    play(script)


def test_what_is_not_on_the_page_is_said_not_to_be_understood() -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say("sing me a song")
        await call.silence(8)
        assert call.lines[-1].heard in brain.fallback

    play(script)


def test_the_page_says_that_it_is_a_script() -> None:
    help = RuntimeGate(load(str(DEMO))).help()
    assert help.scripted
    assert [phrase.say for phrase in help.phrases] == PHRASES


@pytest.mark.parametrize("topic", list(TECHNICAL))
def test_the_main_job(topic: str) -> None:
    async def script(call: SimulatedCall) -> None:
        await call.say(f"please look into {topic} for me")
        await call.hears(f"looking into {topic}")
        await call.say("what is two plus three")
        await call.hears("2 plus 3 is 5")
        result = await call.hears(BUSINESS[topic])
        assert TECHNICAL[topic] in result.utterance.text
        await call.silence(1)
        entries = await call.runtime.ledger.entries(call.room, list(Status))
        assert [e.status for e in entries] == [Status.HEARD]

    play(script)


def test_the_time_is_told_in_every_city() -> None:
    async def script(call: SimulatedCall) -> None:
        for city in ("", " in rome", " in new york"):
            await call.say(f"what time is it{city}")
            line = await call.hears("it is")
            await call.silence(3)
            assert re.fullmatch(r"In [A-Z][A-Za-z ]+ it is \d{1,2}:\d\d\.", line.heard)

    play(script)


def test_sums_are_right() -> None:
    assert the_sum({"number": "ten", "number2": "ten"}) == "10 plus 10 is 20."
    assert {the_sum({"number": n, "number2": "one"}) for n in NUMBERS} == {
        f"{i} plus 1 is {i + 1}." for i, _ in enumerate(NUMBERS, 1)
    }
