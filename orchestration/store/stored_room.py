"""A StoredRoom: what is kept of a room, and how often it was saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestration.plain import ReadOnly, plain

MAX_METADATA = 64_000
"""Most characters of a room's metadata: a conversation's state at its largest, and as much again."""


@dataclass(frozen=True, slots=True)
class StoredRoom:
    """A room as it was saved. `metadata` is plain data, read-only.

    `version` counts the times it was saved, from 1 on. `age`: seconds since the last one, by the store's clock.
    """

    id: str
    metadata: Mapping[str, Any] = field(hash=False)
    version: int
    age: float


def bounded(metadata: object) -> ReadOnly:
    """A copy of what is to be saved. Raises ValueError naming the place that cannot be kept."""
    return plain(metadata, "metadata", MAX_METADATA)
