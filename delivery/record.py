"""A delivery's written form: checked before it is kept, the same in every ledger, and one rule for each step."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from delivery.ledger import Delivery, Entry, LedgerError, Move, OnInterrupt, SpeakAs, Status

MAX_NAME = 256
"""Most characters of an id, a room, a topic or a caller: long enough for any key, short enough for an index."""

MAX_CONTENT = 100_000
"""Most characters of what is to be said; spoken, they last about two hours."""

MAX_NOTES = 65_536
"""Most characters of a strategy or of metadata, written as JSON."""

CUT_BY_RESTART = "the process that spoke it is gone"
"""Reason of a delivery that was being spoken when its room was taken over."""

CANCELLED = "cancelled"
"""Reason of a delivery that somebody cancelled."""

_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")

_UNHEARD = frozenset({Status.DEAD, Status.EXPIRED, Status.REFUSED, Status.CANCELLED, Status.DROPPED})
"""Ends after which it may be said after all; a superseded one would be stale."""


def written(delivery: Delivery) -> dict[str, Any]:
    """The delivery as one flat row of text and numbers.

    Raises ValueError naming the field when it could not be kept and read back unchanged.
    """
    return {
        "id": _text("id", delivery.id, MAX_NAME),
        "room": _text("room", delivery.room, MAX_NAME),
        "content": _text("content", delivery.content, MAX_CONTENT),
        "strategy": _json("strategy", delivery.strategy),
        "addressee": _optional_text("to", delivery.to),
        "task": _optional_text("task", delivery.task),
        "priority": _whole("priority", delivery.priority),
        "ttl": _seconds("ttl", delivery.ttl),
        "supersedes": _optional_text("supersedes", delivery.supersedes),
        "max_wait": _seconds("max_wait", delivery.max_wait),
        "on_interrupt": OnInterrupt(delivery.on_interrupt).value,
        "speak_as": SpeakAs(delivery.speak_as).value,
        "fold": int(bool(delivery.fold)),
        "metadata": _json("metadata", delivery.metadata),
        "traceparent": _optional_text("traceparent", delivery.traceparent),
    }


def read(row: Mapping[str, Any]) -> Delivery:
    """The delivery a row of `written` stands for."""
    return Delivery(
        id=row["id"],
        room=row["room"],
        content=row["content"],
        strategy=json.loads(row["strategy"]),
        to=row["addressee"],
        task=row["task"],
        priority=row["priority"],
        ttl=row["ttl"],
        supersedes=row["supersedes"],
        max_wait=row["max_wait"],
        on_interrupt=OnInterrupt(row["on_interrupt"]),
        speak_as=SpeakAs(row["speak_as"]),
        fold=bool(row["fold"]),
        metadata=json.loads(row["metadata"]),
        traceparent=row["traceparent"],
    )


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rows with one id say the same thing in the same room to the same caller.

    How and when it is said may differ: a task that runs again after a crash has another trace, not another result.
    """
    return all(one[key] == other[key] for key in ("room", "content", "addressee"))


def after(entry: Entry, move: Move) -> Entry:
    """The entry once `move` was made; an entry that already ended is returned as it is.

    A reason is cut to MAX_NAME characters; in it and in the wording, what cannot be kept is replaced by U+FFFD.
    Raises LedgerError when more was heard than there was to hear.
    """
    if entry.status.terminal:
        return entry
    wording = entry.wording if move.wording is None else _short("wording", mended(move.wording), MAX_CONTENT)
    heard = entry.heard_chars if move.heard_chars is None else move.heard_chars
    spoken = entry.delivery.content if wording is None else wording
    if not 0 <= heard <= len(spoken):
        raise LedgerError(f"heard_chars of {entry.delivery.id!r} must be 0 to {len(spoken)}, not {heard}")
    moved = replace(
        entry,
        status=Status(move.status),
        wording=wording,
        heard_chars=heard,
        attempts=entry.attempts + move.attempt,
        reason=entry.reason if move.reason is None else mended(move.reason)[:MAX_NAME],
    )
    return unwanted(moved) if moved.unwanted else moved


def orphaned(entry: Entry) -> Entry:
    """The entry once whoever reserved or spoke it is gone: queued again, from its last heard word."""
    if entry.status not in (Status.RESERVED, Status.SPEAKING):
        return entry
    reason = CUT_BY_RESTART if entry.status is Status.SPEAKING else entry.reason
    queued = replace(entry, status=Status.QUEUED, reason=reason)
    return unwanted(queued) if queued.unwanted else queued


def unwanted(entry: Entry) -> Entry:
    """The entry once it was cancelled: at once if nobody is about to speak it; else it is for the speaker to end."""
    match entry.status:
        case Status.QUEUED:
            return replace(entry, status=Status.CANCELLED, reason=CANCELLED, unwanted=False)
        case Status.RESERVED | Status.SPEAKING:
            return replace(entry, unwanted=True)
        case _:
            return entry


def again(entry: Entry, *, whole: bool) -> Entry:
    """The entry once it was queued again, if it ended unheard; otherwise as it is."""
    if entry.status not in _UNHEARD:
        return entry
    heard = 0 if whole else entry.heard_chars
    return replace(entry, status=Status.QUEUED, heard_chars=heard, attempts=0, age=0.0, reason="", unwanted=False)


def keepable(text: str) -> bool:
    """Whether every ledger can keep it: PostgreSQL has no NUL characters, and nobody has lone surrogates."""
    return text == mended(text)


def mended(text: str) -> str:
    """The text with U+FFFD for each character that cannot be kept; as long as before."""
    return _UNKEEPABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def _clean(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{field} must be text, not {type(value).__name__}")
    if found := _UNKEEPABLE.search(value):
        what = "must not have NUL characters: one" if found[0] == "\0" else "must be valid Unicode: a lone surrogate"
        raise ValueError(f"{field} {what} is at {found.start()}")
    return value


def _short(field: str, value: object, longest: int) -> str:
    text = _clean(field, value)
    if len(text) > longest:
        raise ValueError(f"{field} must have at most {longest} characters, not {len(text)}")
    return text


def _text(field: str, value: object, longest: int) -> str:
    text = _short(field, value, longest)
    if not text.strip():
        raise ValueError(f"{field} must not be empty")
    return text


def _optional_text(field: str, value: object) -> str | None:
    return None if value is None else _text(field, value, MAX_NAME)


def _whole(field: str, value: object) -> int:
    if not isinstance(value, int) or abs(value) >= 2**31:
        raise ValueError(f"{field} must be a whole number below 2**31, not {value!r}")
    return int(value)


def _seconds(field: str, value: float | None) -> float | None:
    if value is None:
        return None
    if not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{field} must be seconds, 0 or more, or None; not {value!r}")
    return float(value)


def _json(field: str, value: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(dict(value), allow_nan=False, sort_keys=True, ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{field} must be JSON: {error}") from error
    if len(text) > MAX_NOTES:
        raise ValueError(f"{field} must be at most {MAX_NOTES} characters of JSON, not {len(text)}")
    return text
