"""kill -9 of the server while a worker runs, and again while the result is spoken: what is owed is heard, once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.server import server
from tests.e2e.voices import speech
from tests.e2e.wire_caller import WireCaller, coming_back, wire_caller

pytestmark = [pytest.mark.crash, pytest.mark.speech, pytest.mark.processes]

RESULT = (
    "Here is what my analysts found. Electric cars need a third of the energy of petrol cars, and their batteries last "
    "ten years. They cost more to buy and less to run, and break even after five years."
)
IN_FLIGHT = 4
"""Words that may be heard twice: half a second of write-behind, and what was on its way to the ear."""


def results(caller: WireCaller) -> list[str]:
    """What was heard of the result, utterance by utterance."""
    spoken = [u.heard.removeprefix("As I was saying: ").strip() for u in caller.utterances.values()]
    return [heard for heard in spoken if heard and heard in RESULT]


def test_what_is_owed_survives_the_server_and_is_heard_once(tmp_path: Path) -> None:
    asking = speech("look into electric cars")

    async def main() -> None:
        async with server(tmp_path) as first, wire_caller(first.url, leave=False) as ann:
            token = ann.token
            await ann.hears("electric cars.")
            await ann.say(asking)
            await ann.hears("I am on it")
            await ann.until_panel("task", progress="weighing the numbers")
            first.kill()
            await first.gone()

        async with server(tmp_path) as second, coming_back(second.url, token, leave=False) as ann:
            spoken = await ann.hears("Electric cars need a third", within=40)
            second.kill()
            before = spoken.heard.strip()
            await second.gone()

        async with server(tmp_path) as third, coming_back(third.url, token) as ann:
            await ann.hears("after five years.", within=40)
            await asyncio.sleep(4)
            (after,) = results(ann)
            assert RESULT.startswith(before)
            assert RESULT.endswith(after)
            twice = len(before.split()) + len(after.split()) - len(RESULT.split())
            assert 0 <= twice <= IN_FLIGHT, f"{twice} words were heard twice"

        async with server(tmp_path) as fourth, coming_back(fourth.url, token) as ann:
            await asyncio.sleep(8)
            assert results(ann) == []

    asyncio.run(main())
