"""Two servers on one directory or database: a room is in one of them;
when that dies the other goes on with what is owed."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests import postgres
from tests.e2e.server import Server, server
from tests.e2e.test_crash import RESULT
from tests.e2e.voices import speech
from tests.e2e.wire_caller import coming_back, wire_caller

SHARED = Path(__file__).with_name("shared.py")
pytestmark = [pytest.mark.crash, pytest.mark.speech, pytest.mark.processes]


def test_callers_meet_in_the_process_that_has_the_room_and_the_other_goes_on_when_it_dies(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """On PostgreSQL where that is, as it takes long and the other crash tests use a directory."""

    def start() -> AbstractAsyncContextManager[Server]:
        if postgres.missing():
            return server(tmp_path)
        return server(tmp_path, target=SHARED, DATABASE_URL=request.getfixturevalue("postgres_url"))

    asking = speech("look into electric cars")

    async def main() -> None:
        async with start() as one, start() as two:
            async with wire_caller(one.url, name="Ann", leave=False) as ann:
                token = ann.token
                await ann.hears("electric cars.")
                async with wire_caller(two.url, name="Bob") as bob:
                    assert bob.moved["url"].replace("localhost", "127.0.0.1") == one.url
                    assert bob.welcome["caller"]["name"] == "Bob"
                await ann.say(asking)
                await ann.hears("I am on it")
                await ann.until_panel("task", progress="weighing the numbers")
                one.kill()
                await one.gone()
            async with coming_back(two.url, token) as ann:
                assert not ann.moved
                await ann.hears("after five years.", within=40)
                heard = [u.heard for u in ann.utterances.values() if "Electric cars" in u.heard]
                assert heard == [RESULT]

    asyncio.run(main())
