"""RTTM: who spoke when, as NIST's Rich Transcription files say it. Only its SPEAKER lines are read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

LONGEST = 24 * 3600.0
MOST = 200_000


class RttmError(ValueError):
    """The file cannot be used; says where and why."""


@dataclass(frozen=True, slots=True)
class Talk:
    """Two people in one recording: stretches of speech (from, to; seconds), in order and apart."""

    name: str
    caller: tuple[tuple[float, float], ...]
    other: tuple[tuple[float, float], ...]

    @property
    def length(self) -> float:
        return max(spans[-1][1] for spans in (self.caller, self.other))


def read(path: Path, caller: str | None = None) -> list[Talk]:
    """The recordings of a file, each of two speakers. `caller`: which one is the caller (None: who speaks first).

    Raises RttmError naming the file, the line and what is wrong.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RttmError(f"{path}: cannot be read as text: {error}") from None
    spoken: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or line.startswith(";") or fields[0] != "SPEAKER":
            continue
        if number > MOST:
            raise RttmError(f"{path}: more than {MOST} lines")
        recording, speaker, start, end = _line(path, number, fields)
        spoken.setdefault(recording, {}).setdefault(speaker, []).append((start, end))
    if not spoken:
        raise RttmError(f"{path}: no SPEAKER line in it; is it an RTTM file?")
    return [_talk(path, name, speakers, caller) for name, speakers in spoken.items()]


def _line(path: Path, number: int, fields: list[str]) -> tuple[str, str, float, float]:
    """SPEAKER recording channel start duration <NA> <NA> speaker <NA> <NA>"""
    where = f"{path}, line {number}"
    if len(fields) < 8:
        raise RttmError(f"{where}: {len(fields)} fields; a SPEAKER line has at least 8")
    try:
        start, lasts = float(fields[3]), float(fields[4])
    except ValueError:
        raise RttmError(f"{where}: start {fields[3]!r} and duration {fields[4]!r} must be seconds") from None
    if not (math.isfinite(start) and math.isfinite(lasts)) or start < 0 or lasts < 0 or start + lasts > LONGEST:
        raise RttmError(f"{where}: {start:g} s for {lasts:g} s does not lie within a day")
    return fields[1], fields[7], start, start + lasts


def _talk(path: Path, name: str, speakers: dict[str, list[tuple[float, float]]], caller: str | None) -> Talk:
    if len(speakers) != 2:
        found = ", ".join(sorted(speakers))
        raise RttmError(f"{path}: recording {name!r} has {len(speakers)} speakers ({found}); two are needed")
    joined = {who: _join(spans) for who, spans in speakers.items()}
    if any(not spans for spans in joined.values()):
        raise RttmError(f"{path}: recording {name!r}: a speaker has only lines of no length")
    if caller is not None and caller not in joined:
        raise RttmError(f"{path}: recording {name!r} has no speaker {caller!r}, only {', '.join(sorted(joined))}")
    who = caller or min(joined, key=lambda w: joined[w][0])
    other = next(w for w in joined if w != who)
    return Talk(name, joined[who], joined[other])


def _join(spans: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Stretches that overlap or touch are one."""
    joined: list[tuple[float, float]] = []
    for start, end in sorted(s for s in spans if s[1] > s[0]):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return tuple(joined)
