"""Cancellation: told apart from a CancelledError that only strayed in, because something awaited was cancelled."""

from __future__ import annotations

import asyncio


def cancelled_here() -> bool:
    """Whether the running task itself is being cancelled; its CancelledError must then go on.

    False: what it waited for was cancelled by somebody else, which is a failure like any other.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
