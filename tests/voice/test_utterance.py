"""An utterance says how it ended, and everyone may wait for that."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from voice import clock
from voice.channel import Utterance
from voice.playout import Playout
from voice.utterance import SpokenUtterance


def utterance(text: str = "One two three.") -> SpokenUtterance:
    return SpokenUtterance("u", text, Playout("u", itertools.count(1).__next__))


def test_it_is_an_utterance_that_is_under_way() -> None:
    async def main() -> None:
        said = utterance()
        assert isinstance(said, Utterance)
        assert (said.done, said.complete, said.confirmed, said.interrupted_by) == (False, False, True, None)
        assert (said.heard, said.remainder, said.started, said.ended) == ("", "One two three.", None, None)
        assert "under way" in repr(said)

    clock.run(main())


@pytest.mark.parametrize(
    ("cut_by", "failed", "played", "ends"),
    [
        (None, False, True, (True, True, None)),
        ("anna", False, False, (False, True, "anna")),
        ("anna", True, False, (False, True, "anna")),
        (None, True, True, (False, True, "failed")),
        (None, False, False, (False, False, None)),
        ("anna", False, True, (True, True, None)),
    ],
)
def test_how_it_ended(cut_by: str | None, failed: bool, played: bool, ends: tuple[bool, bool, str | None]) -> None:
    async def main() -> None:
        said = utterance()
        said.cut_by, said.failed = cut_by, failed
        said.playout.chars, said.playout.started = 7, 1.0
        said.finish(9.0, complete=played)
        assert (said.complete, said.confirmed, said.interrupted_by) == ends
        assert said.ended == 9.0
        assert said.heard == ("One two three." if ends[0] else "One two")
        assert said.heard + said.remainder == said.text
        assert (ends[2] or "") in repr(said)

    clock.run(main())


@pytest.mark.parametrize(
    ("text", "heard", "asking"),
    [
        ("It is late. Shall we stop?", 11, False),
        ("It is late. Shall we stop?", 17, True),
        ("Shall we stop? It is late.", 26, False),
        ("Shall we stop?", 0, True),
        ("", 0, False),
    ],
)
def test_it_asks_from_the_first_word_of_its_question_on(text: str, heard: int, asking: bool) -> None:
    async def main() -> None:
        said = utterance(text)
        said.playout.chars = heard
        assert said.asking is asking

    clock.run(main())


def test_one_that_nobody_heard_has_no_times() -> None:
    async def main() -> None:
        said = utterance()
        said.cut_by = "anna"
        said.finish(9.0, complete=False)
        assert (said.started, said.ended, said.heard) == (None, None, "")

    clock.run(main())


def test_many_may_wait_and_giving_up_waiting_harms_nobody() -> None:
    async def main() -> None:
        said = utterance()

        async def wait() -> Utterance:
            return await said

        waiting = [asyncio.create_task(wait()) for _ in range(3)]
        await asyncio.sleep(1)
        waiting[0].cancel()
        await asyncio.sleep(1)
        said.finish(2.0, complete=True)
        assert await waiting[1] is await waiting[2] is said
        assert waiting[0].cancelled()
        assert await said is said

    clock.run(main())


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Really?", True),
        ('He said "really?" ', True),
        ("Really.", False),
        ("", False),
        ("真的？", True),
        ("What? No.", False),
    ],
)
def test_whether_it_asks(text: str, asks: bool) -> None:
    async def main() -> None:
        assert utterance(text).asks == asks

    clock.run(main())
