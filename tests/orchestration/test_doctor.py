"""What is said of a machine: what is there, what would be used, what would help, and no secrets."""

from __future__ import annotations

import sqlite3
import sys
from importlib.util import find_spec
from typing import Any

import pytest

from orchestration import Agent, Runtime, Speech, Supervisor, doctor
from orchestration.doctor import Finding, Use, examine, healthy
from orchestration.models import Anthropic, FallbackModel, Intent, Prepared, Scripted
from tests.orchestration.test_conversation import Talks
from tests.voice.doubles import Recognizer, Synthesizer
from tests.voice.realtime.double import Model as RealtimeDouble
from voice.check import Check
from voice.stt.fallback import FallbackRecognizer
from voice.stt.pocketsphinx import Pocketsphinx
from voice.tts.fallback import FallbackSynthesizer

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


def row(findings: list[Finding], part: str) -> list[tuple[str, str]]:
    return [(f.check.name, f.use) for f in findings if f.part == part]


class Talker(RealtimeDouble):
    """One that hears, thinks and speaks."""

    name = "talker"

    @classmethod
    def check(cls) -> Check:
        return Check("realtime", True, "its key is set")


def test_a_model_that_talks_by_itself_hears_speaks_and_thinks() -> None:
    host = Agent("host", model=Prepared(["Hello."]))
    clerk = Agent("clerk", model=Prepared(["Done."]))
    team = Supervisor(host, workers=[clerk])
    findings = examine(Runtime(orchestration=team, speech=Speech(realtime=Talker()), state=None))
    assert row(findings, "hearing") == row(findings, "speaking") == [("talker", "used")]
    assert row(findings, "model of host") == [("talker", "used"), ("prepared", "stands by")]
    assert row(findings, "model of clerk") == [("prepared", "used")]
    details = {f.check.detail for f in findings if f.check.name == "talker"}
    assert details == {"talks by itself: its key is set"}
    assert healthy(findings)
    findings = examine(Runtime(orchestration=team, speech=Speech(realtime=Talker(), tts=Synthesizer()), state=None))
    assert row(findings, "speaking") == [("talker", "used"), ("test voice", "stands by")]


def test_those_of_a_fallback_are_shown_in_order_with_their_own_words() -> None:
    class Keyless(Prepared):
        @classmethod
        def check(cls) -> Check:
            return Check("keyless", False, "no key", "set a key")

    script = Scripted([Intent(["hello"], answer="Hello.")])
    host = Agent("host", model=[Keyless(["Hello."], name="keyless"), FallbackModel([Prepared(["Hi."]), script])])
    ears, voice = Recognizer(), Synthesizer()
    speech = Speech(stt=FallbackRecognizer([ears, Pocketsphinx()]), tts=[FallbackSynthesizer([voice]), Synthesizer()])
    findings = examine(Runtime(orchestration=Talks(host), speech=speech, state=None))
    assert row(findings, "model of host") == [("keyless", "-"), ("prepared", "used"), ("scripted", "stands by")]
    assert [f.check.fix for f in findings if f.check.name == "keyless"] == ["set a key"]
    assert row(findings, "hearing")[0] == ("test recogniser", "used")
    assert row(findings, "hearing")[1][0] == "pocketsphinx"
    assert row(findings, "speaking") == [("test voice", "used"), ("test voice", "stands by")]


def test_a_cloud_that_an_agent_has_alone_is_shown_as_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-secret")
    host = Agent("host", model=Anthropic())
    findings = examine(Runtime(orchestration=Talks(host), state=None))
    assert row(findings, "model of host") == [("anthropic", "used" if find_spec("anthropic") else "-")]


@pytest.mark.skipif(find_spec("anthropic") is None, reason="pip install 'sottovoce[anthropic]'")
def test_a_cloud_is_shown_with_the_model_the_server_and_the_key_that_it_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    mind = Anthropic(model="qwen3:4b", base_url="http://localhost:11434", api_key="sk-secret")
    findings = examine(Runtime(orchestration=Talks(Agent("host", model=mind)), state=None))
    (found,) = [finding for finding in findings if finding.part == "model of host"]
    assert (found.use, found.check.usable) == (Use.USED, True)
    assert (
        found.check.detail
        == "qwen3:4b by Anthropic's Messages API at http://localhost:11434, with the key it was given"
    )
    nobody = examine(Runtime(orchestration=Talks(Agent("host", model=Anthropic(model="qwen3:4b"))), state=None))
    assert any(each.check.detail == "qwen3:4b by Anthropic's Messages API: no key" for each in nobody)


def test_one_that_stands_for_others_has_their_name() -> None:
    class Wrapper(Recognizer):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        @classmethod
        def check(cls) -> Check:
            return Check("livekit", True, "LiveKit's STT plugins")

    given = [Wrapper("livekit:elevenlabs"), Wrapper("livekit:azure")]
    findings = examine(Runtime(speech=Speech(stt=given), state=None))
    assert row(findings, "hearing") == [("livekit:elevenlabs", "used"), ("livekit:azure", "stands by")]
    assert {f.check.detail for f in findings if f.part == "hearing"} == {"LiveKit's STT plugins"}


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
