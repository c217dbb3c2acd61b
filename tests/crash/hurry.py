"""A hurried event loop: its seconds are shorter than the wall's, by a factor, and nothing else about it is special.

Threads, files, sockets and signals are as real as ever; only the talk goes faster. A disk or a network that takes 5 ms
takes five times as long for a talk that is hurried five times, so what passes here passes at leisure.
"""

from __future__ import annotations

import asyncio
import selectors


class _HurriedSelector(selectors.DefaultSelector):
    """Waits for its loop's seconds."""

    haste = 1.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / self.haste)


class HurriedLoop(asyncio.SelectorEventLoop):
    """`haste` of its seconds pass in one of the wall's."""

    def __init__(self, haste: float) -> None:
        selector = _HurriedSelector()
        selector.haste = self.haste = haste
        super().__init__(selector)

    def time(self) -> float:
        return super().time() * self.haste
