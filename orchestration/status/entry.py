"""A StatusEntry: what somebody did or is about to do, checked when it is made, the same in every backend."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from delivery.record import keepable, mended
from orchestration.identity import valid_name

MAX_NAME = 256
"""Most characters of an agent's id and of an action."""

MAX_DETAIL = 2_000
"""Most characters of a detail: a sentence or two; a result belongs into the ledger."""

MAX_METADATA = 4_096
"""Most characters of metadata, written as JSON."""

MAX_ID = 64
"""Most characters of an entry's id; ours have fewer."""

END_OF_TIME = 253_402_300_800.0
"""The year 10,000, in seconds since 1970: no timestamp is as late."""


class StatusLevel(StrEnum):
    """How it stands with an action."""

    OK = "ok"
    """A step went well."""
    FAILED = "failed"
    """It came to nothing: it went wrong, or was cancelled."""
    PENDING = "pending"
    """It has begun, or waits for its turn."""
    INFO = "info"
    """How far it is, or anything else worth knowing."""
    COMPLETED = "completed"
    """The whole work is done."""


@dataclass(frozen=True, slots=True)
class StatusEntry:
    """What `agent_id` told: its `action` and the `status` of that.

    `room` is where it happened (None: in no room). `timestamp` is in seconds since 1970, by the database's clock if
    there is one. `id` is unique. `metadata` is JSON, and shared by all who read it: leave it as it is.
    """

    agent_id: str
    action: str
    status: StatusLevel
    detail: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    room: str | None = None
    timestamp: float = 0.0
    id: str = ""


def checked(
    *,
    agent_id: object,
    action: object,
    status: object,
    detail: object,
    metadata: object,
    room: object,
    timestamp: object,
    id: object,
) -> StatusEntry:
    """An entry of these fields. Raises ValueError naming the one that is wrong and what it may be.

    What cannot be kept of a detail (NUL characters, halves of surrogate pairs) becomes U+FFFD.
    """
    return StatusEntry(
        name("agent_id", agent_id),
        name("action", action),
        level(status),
        _detail(detail),
        _metadata(metadata),
        None if room is None else valid_name(room, "room"),
        _timestamp(timestamp),
        name("id", id, MAX_ID),
    )


def name(field: str, value: object, longest: int = MAX_NAME) -> str:
    """An agent's id, or an action: printable characters. Raises ValueError naming `field`."""
    if not isinstance(value, str):
        raise ValueError(f"{field} must be text, not {type(value).__name__}")
    if not 1 <= len(value) <= longest:
        raise ValueError(f"{field} must have 1 to {longest} characters, not {len(value)}")
    if not value.isprintable() or value.isspace():
        raise ValueError(f"{field} must have printable characters only: letters, digits, spaces, punctuation")
    return value


def level(value: object) -> StatusLevel:
    """A StatusLevel, or its value as text. Raises ValueError."""
    if isinstance(value, StatusLevel):
        return value
    try:
        return StatusLevel(value)  # type: ignore[arg-type]
    except ValueError:
        known = ", ".join(repr(each.value) for each in StatusLevel)
        raise ValueError(f"status: {value!r:.100} is not known; use {known}") from None


def _detail(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"detail must be text, not {type(value).__name__}")
    if len(value) > MAX_DETAIL:
        raise ValueError(f"detail must have at most {MAX_DETAIL} characters, not {len(value)}; cut it")
    return value if value.isprintable() or keepable(value) else mended(value)


def _metadata(value: object) -> Mapping[str, Any]:
    """A copy, as it will be read back: whoever posted it may go on using theirs."""
    if value is None or value == {}:
        return {}
    if not isinstance(value, Mapping):
        raise ValueError(f"metadata must be a mapping, not {type(value).__name__}; give a dict")
    try:
        text = json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"metadata must be JSON: {error}") from error
    if len(text) > MAX_METADATA:
        raise ValueError(f"metadata must be at most {MAX_METADATA} characters of JSON, not {len(text)}")
    copy: Mapping[str, Any] = json.loads(text)
    return copy


def _timestamp(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"timestamp must be a number of seconds, not {type(value).__name__}")
    if not (math.isfinite(value) and 0.0 <= value < END_OF_TIME):
        raise ValueError(f"timestamp must be seconds since 1970, before the year 10,000, not {value!r:.100}")
    return float(value)
