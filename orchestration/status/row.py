"""A status entry as a row of a table, the same columns in every database; and what all databases keep of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestration.status.entry import StatusEntry, StatusLevel

MAX_KEPT = 100_000
"""Entries that a database keeps; the oldest go."""

COLUMNS = ("id", "at", "room", "agent_id", "action", "status", "detail", "metadata")
"""Beside them a row has its place (`seq`) and who wrote it (`origin`)."""


def written(entry: StatusEntry) -> dict[str, Any]:
    """The columns of an entry. No room is ""; metadata is JSON in ASCII."""
    return {
        "id": entry.id,
        "at": entry.timestamp,
        "room": entry.room or "",
        "agent_id": entry.agent_id,
        "action": entry.action,
        "status": entry.status.value,
        "detail": entry.detail,
        "metadata": json.dumps(dict(entry.metadata)),
    }


def read(row: Mapping[str, Any]) -> StatusEntry:
    """The entry of a row of `written`."""
    return StatusEntry(
        row["agent_id"],
        row["action"],
        StatusLevel(row["status"]),
        row["detail"],
        json.loads(row["metadata"]),
        row["room"] or None,
        row["at"],
        row["id"],
    )


def kept(max_entries: int) -> int:
    """Raises ValueError for what is no number of entries to keep."""
    if isinstance(max_entries, bool) or not isinstance(max_entries, int) or not 1 <= max_entries <= 10_000_000:
        raise ValueError(f"max_entries must be a whole number, 1 to 10,000,000, not {max_entries!r:.100}")
    return max_entries
