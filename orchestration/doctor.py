"""Doctor: what is installed, what would be used and why, and what would improve it; asked of each provider's check().

Nothing is connected to, and of a key it is only said whether it is set.
"""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING

from orchestration.ensemble import agents_of
from voice.check import Check

if TYPE_CHECKING:
    from orchestration.runtime import Runtime
    from voice.realtime.session import RealtimeModel

OLDEST_SQLITE = (3, 35)
"""The first that has RETURNING."""
APPS_OWN = Check("the app's own", True, "what an agent is given; `preferred(...)` takes what stands above, if it can")


class Use(StrEnum):
    """What becomes of a provider."""

    USED = "used"
    STANDBY = "stands by"
    """It is used while what is used fails."""
    USABLE = "usable"
    NO = "-"


@dataclass(frozen=True, slots=True)
class Finding:
    """A check, the part of the house it belongs to, and what becomes of it."""

    part: str
    check: Check
    use: Use = Use.NO


def examine(runtime: Runtime | None = None) -> list[Finding]:
    """All findings, in the order in which they matter: for this machine, or for what a runtime is told to use."""
    from voice import stt, tts, vad

    speech = runtime.speech if runtime else None
    findings = [_alone("python", _python()), _alone("storage", _sqlite())]
    for part, given, best in (
        ("hearing", speech and speech.stt, _in_a_row("hearing", stt.candidates(), clouds=len(stt.CLOUD))),
        ("speaking", speech and speech.tts, _in_a_row("speaking", tts.candidates(), clouds=len(tts.CLOUD))),
        ("voice activity", speech and speech.vad, _in_a_row("voice activity", vad.candidates())),
    ):
        if speech and speech.realtime is not None and part != "voice activity":
            own = _checks(given) if part == "speaking" else []  # says what the other cannot
            findings += _given(part, [_by_itself(speech.realtime), *own])
        else:
            findings += best if given is None else _given(part, _checks(given))
    findings += _models(runtime)
    findings.append(_alone("tasks", _package("dbos", "pip install sottovoce")))
    return findings


def _given(part: str, checks: Sequence[Check]) -> list[Finding]:
    """What a runtime was given for a part: one provider, or several, of which all but the first stand by."""
    return _in_a_row(part, checks, clouds=len(checks))


def _checks(given: object) -> list[Check]:
    """What providers say of themselves: the one that was given, each of a list, or of those that a fallback is of."""
    from orchestration.models.fallback import FallbackModel
    from voice.stt.fallback import FallbackRecognizer
    from voice.tts.fallback import FallbackSynthesizer

    several: Sequence[object]
    match given:
        case None:
            several = ()
        case FallbackModel():
            several = given.models
        case FallbackRecognizer() | FallbackSynthesizer():
            several = given.providers
        case list() | tuple():
            several = given
        case _:
            return [_check(given)]
    return [check for each in several for check in _checks(each)]


def _check(provider: object) -> Check:
    """What a provider says of itself, with its own key or server if it can tell. One that stands for others
    (`LiveKitTTS(elevenlabs.TTS())`) has their name."""
    name = str(getattr(provider, "name", provider))[:60]
    check = getattr(provider, "check_given", None) or getattr(provider, "check", None)
    found = check() if callable(check) else None
    return replace(found, name=name) if isinstance(found, Check) else Check(name, True, "given by the app")


def _by_itself(model: RealtimeModel) -> Check:
    """What a model that hears, thinks and speaks says of itself."""
    check = _check(model)
    return replace(check, detail=f"talks by itself: {check.detail}")


def _models(runtime: Runtime | None) -> list[Finding]:
    """The models of the runtime's agents; without one, those that `preferred` chooses from."""
    from orchestration.models import preference

    if runtime is None or runtime.orchestration is None:
        return _in_a_row("model", [*preference.candidates(), APPS_OWN], clouds=len(preference.CLOUD))
    realtime = runtime.speech.realtime if runtime.speech else None
    talking = [] if realtime is None else [_by_itself(realtime)]
    talkers = runtime.orchestration.agents()
    return [
        finding
        for agent in agents_of(runtime.orchestration)
        for finding in _given(f"model of {agent.id}", [*(talking if agent in talkers else []), *_checks(agent.model)])
    ]


def _in_a_row(part: str, checks: Sequence[Check], *, clouds: int = 0) -> list[Finding]:
    """Providers in order of preference, the first `clouds` of which have the best of the others to fall back on."""
    usable = [place for place, check in enumerate(checks) if check.usable]
    row = [place for place in usable if place < clouds] + [place for place in usable if place >= clouds][:1]

    def use(place: int) -> Use:
        if place in row:
            return Use.USED if place == row[0] else Use.STANDBY
        return Use.USABLE if place in usable else Use.NO

    return [Finding(part, check, use(place)) for place, check in enumerate(checks)]


def _alone(part: str, check: Check) -> Finding:
    return Finding(part, check, Use.USED if check.usable else Use.NO)


def healthy(findings: list[Finding]) -> bool:
    """Whether a call could be held: every part has something usable."""
    return all(any(f.check.usable for f in findings if f.part == part) for part in {f.part for f in findings})


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
