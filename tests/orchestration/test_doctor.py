"""What is said of a machine: what is there, what would be used, what would help, and no secrets."""

from __future__ import annotations

import sqlite3
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from orchestration import Agent, Runtime, Speech, Supervisor, doctor
from orchestration.doctor import Finding, Use, examine, healthy
from orchestration.models import Intent, Prepared, Scripted
from tests.voice.doubles import Recognizer, Synthesizer
from voice.check import Check

PARTS = ["python", "storage", "hearing", "speaking", "voice activity", "model", "tasks"]


def by_part(findings: list[Finding]) -> dict[str, list[Finding]]:
    return {part: [f for f in findings if f.part == part] for part in PARTS}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Check]]:
    """What the providers say of themselves."""
    says = {
        "stt": [Check("good ears", True, "here")],
        "tts": [Check("dear voice", False, "no key", "set a key"), Check("voice", True, ""), Check("other", True, "")],
        "vad": [Check("detector", True, "")],
    }
    for part in says:
        monkeypatch.setattr(f"voice.{part}.candidates", lambda part=part: says[part])
    return says


def test_every_part_is_looked_at_in_order(machine: dict[str, list[Check]]) -> None:
    findings = examine()
    assert list(dict.fromkeys(f.part for f in findings)) == PARTS
    assert healthy(findings)


def test_the_first_that_works_is_what_would_be_used(machine: dict[str, list[Check]]) -> None:
    speaking = by_part(examine())["speaking"]
    assert [(f.check.name, f.use) for f in speaking] == [("dear voice", "-"), ("voice", "used"), ("other", "usable")]
    assert speaking[0].check.fix == "set a key"


def test_what_is_embedded_stands_by_where_a_cloud_is_used(machine: dict[str, list[Check]]) -> None:
    machine["tts"][0] = Check("dear voice", True, "its key is set")
    speaking = by_part(examine())["speaking"]
    assert [f.use for f in speaking] == [Use.USED, Use.STANDBY, Use.USABLE]


def test_a_runtime_is_told_what_it_was_given() -> None:
    class Ears(Recognizer):
        name = "own ears"

        @classmethod
        def check(cls) -> Check:
            return Check(cls.name, True, "made here")

    class Deaf(Ears):
        name = "deaf ears"

        @classmethod
        def check(cls) -> Check:
            return Check(cls.name, False, "no key", "set EARS_KEY")

    host = Agent("host", model=Scripted([Intent(["hello"], answer="Hello.")]))
    clerk = Agent("clerk", model=Prepared(["Done."]))
    runtime = Runtime(
        orchestration=Supervisor(host, workers=[clerk]),
        speech=Speech(stt=[Deaf(), Ears(), Ears()], tts=Synthesizer()),
        state=None,
    )
    findings = examine(runtime)
    found = [(f.part, f.check.name, f.use) for f in findings if f.part not in ("voice activity", "python", "storage")]
    assert found == [
        ("hearing", "deaf ears", "-"),
        ("hearing", "own ears", "used"),
        ("hearing", "own ears", "stands by"),
        ("speaking", "test voice", "used"),
        ("model of host", "scripted", "used"),
        ("model of clerk", "prepared", "used"),
        ("tasks", "dbos", "used"),
    ]
    assert healthy(findings)


@pytest.mark.parametrize("part", ["stt", "tts", "vad"])
def test_a_machine_that_lacks_a_part_is_not_healthy(machine: dict[str, list[Check]], part: str) -> None:
    machine[part] = [Check("x", False, "not installed", "install it")]
    findings = examine()
    assert not healthy(findings)
    machine[part] = []
    assert [f.part for f in findings if f.check.fix == "install it"] != []


def test_this_machine_is_examined_without_loading_vendors() -> None:
    findings = examine()
    assert {f.part for f in findings} == set(PARTS)
    assert all(f.check.usable or f.check.fix for f in findings)


def test_a_key_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    monkeypatch.setenv("DEEPGRAM_API_KEY", "")
    findings = examine()
    assert "sk-secret" not in repr(findings)
    hearing = by_part(findings)["hearing"][0].check
    assert (hearing.usable, hearing.fix) in [
        (False, "set DEEPGRAM_API_KEY"),
        (False, "pip install 'sottovoce[deepgram]'"),
    ]
    model = by_part(findings)["model"][0]
    assert model.use == ("used" if find_spec("anthropic") else "-")


@pytest.mark.parametrize(
    ("part", "where", "value", "fix"),
    [
        ("python", (sys, "version_info"), (3, 10, 9), "use Python 3.11, 3.12 or 3.13"),
        ("python", (sys, "version_info"), (3, 14, 0), "use Python 3.11, 3.12 or 3.13"),
        ("storage", (sqlite3, "sqlite_version_info"), (3, 31, 1), "use a Python with SQLite 3.35 or later"),
        ("tasks", (doctor, "find_spec"), lambda name: None, "pip install sottovoce"),
    ],
)
def test_what_is_too_old_or_missing_is_said_with_the_fix(
    machine: dict[str, list[Check]],
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    where: tuple[Any, str],
    value: Any,
    fix: str,
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(*where, value)
        findings = examine()
    (found,) = by_part(findings)[part]
    assert (found.check.usable, found.check.fix) == (False, fix)
    assert not healthy(findings)
