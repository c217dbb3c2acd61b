"""Hints: told soon, to whom they are of use."""

from __future__ import annotations

import asyncio

from delivery.hints import Hints
from voice.clock import run


def test_who_moves_deliveries_need_not_be_told_of_it() -> None:
    async def main() -> None:
        hints, all_told, others_told = Hints(), list[str](), list[str]()
        hints.subscribe(all_told.append, moves=True)
        hints.subscribe(others_told.append, moves=False)
        hints.tell("lobby", moved=True)
        assert all_told == [], "not in the middle of the change"
        hints.tell("attic")
        await asyncio.sleep(0)
        assert (all_told, others_told) == (["lobby", "attic"], ["attic"])

    run(main())


def test_who_stops_is_told_nothing_more() -> None:
    async def main() -> None:
        hints, told = Hints(), list[str]()
        stop = hints.subscribe(told.append, moves=True)
        hints.subscribe(told.append, moves=True)
        assert len(hints) == 2
        stop()
        stop()
        hints.clear()
        hints.tell("lobby")
        await asyncio.sleep(0)
        assert (len(hints), told) == (0, [])

    run(main())
