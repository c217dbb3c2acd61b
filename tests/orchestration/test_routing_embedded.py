"""Examples are embedded once, by whoever comes first; a failure is left alone for a while, what was done is kept."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from orchestration.routing_embedded import BATCH, MAX_DIMENSIONS, REST, EmbeddedIndex
from orchestration.routing_guess import NoGuessError
from voice.clock import run

AXES = ("bill", "screen", "buy")


class Space:
    """An embedding in which every word of AXES has a direction; it may fail, or take its time."""

    def __init__(self, *troubles: Exception | float) -> None:
        self.troubles = list(troubles)
        self.asked: list[list[str]] = []

    async def __call__(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        self.asked.append(list(texts))
        if self.troubles:
            trouble = self.troubles.pop(0)
            if isinstance(trouble, Exception):
                raise trouble
            await asyncio.sleep(trouble)
        return [[float(text.count(axis)) for axis in AXES] for text in texts]


def test_the_examples_are_embedded_once_however_many_ask_at_once() -> None:
    space = Space(1.0)
    index = EmbeddedIndex(["bill", "screen"], space)

    async def main() -> None:
        found = await asyncio.gather(*(index.similarities("my screen") for _ in range(10)))
        assert found == [[0.0, 1.0]] * 10
        assert await index.similarities("screen and bill") == pytest.approx([0.5**0.5] * 2)

    run(main())
    assert [asked for asked in space.asked if "my" not in asked[0]] == [["bill", "screen"], ["screen and bill"]]


def test_after_a_failure_nobody_tries_for_a_while_and_then_it_works() -> None:
    space = Space(OSError("no network"))
    index = EmbeddedIndex(["bill"], space)

    async def main() -> None:
        with pytest.raises(OSError, match="no network"):
            await index.similarities("bill")
        with pytest.raises(NoGuessError, match="could not be embedded a moment ago"):
            await index.similarities("bill")
        assert len(space.asked) == 1
        await asyncio.sleep(REST)
        assert await index.similarities("bill") == [1.0]

    run(main())
    assert run(index.similarities("bill")) == [1.0]


def test_those_who_wait_for_one_that_fails_do_not_try_one_by_one() -> None:
    async def fails(texts: Sequence[str]) -> Sequence[Sequence[float]]:
        asked.append(1)
        await asyncio.sleep(1)
        raise OSError("no network")

    asked: list[int] = []
    index = EmbeddedIndex(["bill"], fails)

    async def main() -> list[type[object]]:
        return [
            type(each) for each in await asyncio.gather(*(index.prepare() for _ in range(5)), return_exceptions=True)
        ]

    assert run(main()) == [OSError, *[NoGuessError] * 4]
    assert len(asked) == 1


def test_what_was_embedded_before_a_failure_is_kept() -> None:
    space = Space(0.0, 0.0, OSError("no network"))
    index = EmbeddedIndex(["bill"] * (3 * BATCH), space)

    async def main() -> None:
        with pytest.raises(OSError, match="no network"):
            await index.prepare()
        await asyncio.sleep(REST)
        assert len(await index.prepare()) == 3 * BATCH

    run(main())
    assert [len(asked) for asked in space.asked] == [BATCH] * 4


def test_one_serves_a_loop_after_the_other() -> None:
    index = EmbeddedIndex(["bill"], Space(OSError("no network")))

    async def crowd() -> list[object]:
        return await asyncio.gather(*(index.similarities("bill") for _ in range(3)), return_exceptions=True)

    assert [type(each) for each in run(crowd())] == [OSError, NoGuessError, NoGuessError]
    assert run(crowd()) == [[1.0]] * 3


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        ([], r"embed returned \(0,\) numbers for 1 texts"),
        ([[1.0], [1.0]], r"embed returned \(2, 1\) numbers for 1 texts"),
        ([1.0], r"embed returned \(1,\) numbers"),
        ([[]], r"embed returned \(1, 0\) numbers"),
        ([[[1.0]]], r"embed returned \(1, 1, 1\) numbers"),
        ([[0.5] * (MAX_DIMENSIONS + 1)], "a vector each is wanted"),
        ([[1.0, "a"]], "embed returned no vectors: could not convert"),
        (None, "embed returned no vectors"),
        (object(), "embed returned no vectors"),
        ([[float("nan")]], "not finite"),
        ([[float("inf")]], "not finite"),
        ([[1e300]], "not finite"),
    ],
)
def test_what_is_no_vector_is_named(vectors: Any, said: str) -> None:
    async def embed(texts: Sequence[str]) -> Any:
        return vectors

    with pytest.raises(NoGuessError, match=said):
        run(EmbeddedIndex(["bill"], embed).similarities("bill"))


def test_a_plain_function_is_named() -> None:
    def embed(texts: Sequence[str]) -> Any:
        return [[1.0]]

    with pytest.raises(NoGuessError, match="embed is no async function"):
        run(EmbeddedIndex(["bill"], embed).similarities("bill"))


def test_vectors_of_another_length_are_no_vectors_of_this_model() -> None:
    async def embed(texts: Sequence[str]) -> Any:
        return [[1.0] * len(texts[0])] * len(texts)

    index = EmbeddedIndex(["bill"], embed)
    assert run(index.similarities("sale")) == [1.0]
    with pytest.raises(NoGuessError, match="a vector of 3 numbers is not like the examples', of 4"):
        run(index.similarities("buy"))
    mixed = EmbeddedIndex(["a"] * BATCH + ["bill"], embed)
    with pytest.raises(NoGuessError, match="not of one length"):
        run(mixed.prepare())


def test_numpys_own_vectors_will_do_and_nothing_is_like_nothing() -> None:
    async def embed(texts: Sequence[str]) -> Any:
        return [np.array([2.0, 0.0]) * (text != "silence") for text in texts]

    index = EmbeddedIndex(["bill", "silence"], embed)
    assert run(index.similarities("words")) == [1.0, 0.0]
    assert run(index.similarities("silence")) == [0.0, 0.0]
