"""Doctor: what is installed, what would be used, and what would improve it; asked of each provider's own check()."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from dataclasses import dataclass
from importlib.util import find_spec

from voice.check import Check

KEYS = {"ANTHROPIC_API_KEY": "Anthropic models", "DEEPGRAM_API_KEY": "Deepgram speech"}
"""Keys that `serve` would use as soon as their providers exist. Only whether they are set is ever shown."""
OLDEST_SQLITE = (3, 35)
"""The first that has RETURNING."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A check and the part of the house it belongs to; `chosen`: this is what would be used."""

    part: str
    check: Check
    chosen: bool = False


def examine() -> list[Finding]:
    """All findings, in the order in which they matter."""
    from voice import stt, tts, vad

    findings = [Finding("python", _python(), chosen=True), Finding("storage", _sqlite(), chosen=True)]
    for part, provider in (("hearing", stt), ("speaking", tts), ("voice activity", vad)):
        checks = provider.candidates()
        first = next((c.name for c in checks if c.usable), None)
        findings += [Finding(part, check, chosen=check.name == first) for check in checks]
    findings.append(Finding("tasks", _package("dbos", "pip install sottovoce"), chosen=True))
    findings += [Finding("keys", _key(name, what)) for name, what in KEYS.items()]
    return findings


def healthy(findings: list[Finding]) -> bool:
    """Whether a call could be held: every part has something usable."""
    parts = {f.part for f in findings if f.part != "keys"}
    return all(any(f.check.usable for f in findings if f.part == part) for part in parts)


def _python() -> Check:
    usable = (3, 11) <= sys.version_info[:2] < (3, 14)
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    return Check("Python", usable, detail, "" if usable else "use Python 3.11, 3.12 or 3.13")


def _sqlite() -> Check:
    usable = sqlite3.sqlite_version_info >= OLDEST_SQLITE
    fix = "" if usable else f"use a Python with SQLite {'.'.join(map(str, OLDEST_SQLITE))} or later"
    return Check("SQLite", usable, sqlite3.sqlite_version, fix)


def _package(name: str, fix: str) -> Check:
    found = find_spec(name) is not None
    return Check(name, found, "installed" if found else "not installed", "" if found else fix)


def _key(name: str, what: str) -> Check:
    found = bool(os.environ.get(name))
    detail = f"set, but this release has no provider for {what} yet" if found else f"not set ({what})"
    return Check(name, False, detail)
