"""Tests with real sockets: on a real event loop, in real time, bounded; they wait for what happens, never for time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T], seconds: float = 20.0) -> T:
    """Do it on a loop of its own; TimeoutError when it hangs."""

    async def bounded() -> T:
        async with asyncio.timeout(seconds):
            return await work

    return asyncio.run(bounded())
