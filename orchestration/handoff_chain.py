"""HandoffChain: who has passed a turn on since its caller stopped, so that nobody is passed round for ever."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HandoffChain:
    """The handoffs since the caller's turn ended, at `began` (seconds of the loop's clock); `passed` who gave it on."""

    began: float
    passed: tuple[str, ...] = ()
