"""The command: every mistake is one clear line and an exit code, and nothing heavy is loaded to say it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from delivery.ledger import LedgerError
from orchestration import Runtime, __version__
from orchestration.cli import announce, app
from orchestration.engines.engine import EngineError
from orchestration.serving import PortError, listen
from orchestration.storage import StorageError
from voice.check import Check
from voice.provider_error import Cause, ProviderError
from voice.providers import NoProviderError

ROOT = Path(__file__).parents[2]
APP = "from orchestration import Runtime\nruntime = Runtime(state=None)\n"


def sottovoce(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def complaint(result: Result) -> str:
    """The one line in which a mistake is told."""
    assert result.exit_code == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "some_app.py").write_text(APP, encoding="utf-8")
    before = set(sys.modules)
    yield "some_app.py"
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the server would have been started with."""
    calls: list[dict[str, Any]] = []

    async def serve(runtime: Runtime, **options: Any) -> None:
        calls.append({"runtime": runtime, **options})

    monkeypatch.setattr("orchestration.serving.serve", serve)
    monkeypatch.setattr(logging, "basicConfig", lambda **options: calls.append(options))
    return calls


def test_the_version_is_told() -> None:
    result = sottovoce("--version")
    assert (result.exit_code, result.stdout) == (0, f"sottovoce {__version__}\n")


def test_without_a_command_there_is_help() -> None:
    result = sottovoce()
    assert result.exit_code == 2
    assert all(command in result.output for command in ("serve", "chat", "doctor"))


@pytest.mark.parametrize("command", ["serve", "chat", "doctor"])
def test_every_command_has_help(command: str) -> None:
    result = sottovoce(command, "--help")
    assert result.exit_code == 0
    assert command in result.stdout


def test_serve_starts_the_server(target: str, served: list[dict[str, Any]]) -> None:
    assert sottovoce("serve", target, "--host", "0.0.0.0", "--port", "0", "--log-level", "INFO").exit_code == 0
    logged, called = served
    assert logged["level"] == "INFO"
    assert isinstance(called["runtime"], Runtime)
    assert (called["host"], called["port"], called["ready"]) == ("0.0.0.0", 0, announce)


@pytest.mark.parametrize("command", ["serve", "chat"])
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("nowhere:runtime", "sottovoce: target: there is no module 'nowhere' (looked in "),
        ("nowhere.py", "sottovoce: target: there is no file nowhere.py"),
        ("some_app:other", "sottovoce: target: 'other' in some_app is not there; it has runtime"),
        ("", "sottovoce: target: '' names no module"),
    ],
)
def test_a_target_that_leads_nowhere_is_one_line(
    target: str, served: list[dict[str, Any]], command: str, name: str, fault: str
) -> None:
    assert complaint(sottovoce(command, name)).startswith(fault)


def test_what_is_wrong_inside_the_users_module_is_not_hidden(target: str, served: list[dict[str, Any]]) -> None:
    Path("some_app.py").write_text("1 / 0", encoding="utf-8")
    result = sottovoce("serve", target)
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize("level", ["loud", "", "10", "NOTSET"])
def test_a_level_that_is_not_known_is_one_line(target: str, served: list[dict[str, Any]], level: str) -> None:
    line = complaint(sottovoce("serve", target, "--log-level", level))
    assert line == f"sottovoce: --log-level: {level!r} is not known; use debug, info, warning, error"
    assert served == []


def test_an_address_that_is_none_is_one_line(target: str, served: list[dict[str, Any]]) -> None:
    line = complaint(sottovoce("serve", target, "--address", "two.example"))
    assert line.startswith("sottovoce: --address: 'two.example' is no URL; give one like https://")
    assert [call for call in served if "runtime" in call] == []


def test_a_port_that_is_taken_is_one_line(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "basicConfig", lambda **options: None)
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        line = complaint(sottovoce("serve", target, "--port", str(port)))
    assert line == f"sottovoce: port {port} is taken by another program; stop it, or choose another with --port"
    assert "out of range" in complaint(sottovoce("serve", target, "--port", "70000"))
    assert "'no host' is no address" in complaint(sottovoce("serve", target, "--host", "no host"))


def test_an_option_that_is_not_known_is_told() -> None:
    result = sottovoce("serve", "x", "--colour", "red")
    assert result.exit_code == 2
    assert "--colour" in result.stderr


@pytest.mark.parametrize(
    "error",
    [
        LedgerError("sottovoce.db: the disk is full; make room"),
        EngineError("tasks.db: in use by another process; stop it"),
        StorageError("state: /x cannot be made: a file is in the way"),
        NoProviderError("nothing on this machine can do speech recognition"),
        ProviderError("deepgram-flux", Cause.KEY, "no key is set", fix="set DEEPGRAM_API_KEY"),
        PortError("port 80 needs more rights"),
    ],
)
def test_what_cannot_be_opened_is_one_line(
    target: str, served: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def serve(runtime: Runtime, **options: Any) -> None:
        raise error

    monkeypatch.setattr("orchestration.serving.serve", serve)
    assert complaint(sottovoce("serve", target)) == f"sottovoce: {error}"


def test_an_interrupt_ends_it_in_silence(
    target: str, served: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(runtime: Runtime, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("orchestration.serving.serve", serve)
    result = sottovoce("serve", target)
    assert (result.exit_code, result.output) == (130, "")


def test_who_serves_is_told_where(capsys: pytest.CaptureFixture[str]) -> None:
    announce("http://localhost:8080")
    assert capsys.readouterr().out.startswith("Sottovoce is listening: open http://localhost:8080 and press Join.")


def test_the_doctor_shows_a_table_and_complains_of_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    says = {part: [Check(f"a {part}", True, "it is here")] for part in ("stt", "tts", "vad")}
    for part in says:
        monkeypatch.setattr(f"voice.{part}.candidates", lambda part=part: says[part])
    result = sottovoce("doctor")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert {"Python", "SQLite", "dbos", "stt", "tts", "vad", "used"} <= set(result.stdout.split())
    says["tts"] = [Check("a tts", False, "not here", "install 'it[all]'")]
    result = sottovoce("doctor")
    assert (result.exit_code, result.stderr) == (1, "sottovoce: a part has nothing usable; see the last column\n")
    assert "[all]" in result.stdout  # it is no markup


def test_the_command_loads_nothing_heavy_until_it_needs_it() -> None:
    listing = "import sys, orchestration.cli; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=True)
    heavy = {
        "numpy",
        "dbos",
        "sqlalchemy",
        "starlette",
        "uvicorn",
        "websockets",
        "pydantic",
        "onnxruntime",
        "pocketsphinx",
    }
    assert heavy & set(done.stdout.split()) == set()


@pytest.mark.parametrize("entry", [["-m", "orchestration"], ["-c", "from orchestration.cli import main; main()"]])
def test_it_runs_as_a_module_and_as_a_script(entry: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, *entry, "--version"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"sottovoce {__version__}\n"
