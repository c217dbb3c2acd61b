"""Every example that is a program is run in virtual time, and what it prints is what its first lines promise."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from delivery import Status
from orchestration import Runtime
from orchestration.simulation import simulate
from orchestration.target import load
from voice.clock import run

EXAMPLES = Path(__file__).parent.parent / "examples"
TICK = 0.02
TALKS = {"custom_strategy", "demo", "loop_reviewers", "supervisor_parallel", "triage", "voice_triage"}
"""Those that are played as calls."""
CLOUDS = {"cloud", "flux", "livekit_plugins", "local_model", "pipecat_services", "realtime", "smart_turn"}
"""Those that are called in `test_cloud_examples`."""


def loaded(name: str) -> ModuleType:
    """The module of an example, anew, and nothing left behind in the interpreter."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run_here_or_played_as_a_call() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == TALKS | CLOUDS | {name for name, _ in PROGRAMS}


LATE = "The train to London is late. The train to Paris is late. The train to Edinburgh Waverley is late."
PROGRAMS: list[tuple[str, list[str]]] = [
    (
        "pipeline",
        [
            "agent-triage: What is it about?",
            "you: Your invoice 7 is wrong.",
            "agent-handler: I see that invoice 7 was paid twice. Shall I pay it back?",
            "agent-resolver: It is on its way to your account. Is there anything else?",
            "agent-resolver: Goodbye.",
            "  agent-triage -> agent-handler (A billing issue)",
            "  agent-handler -> agent-resolver (Done)",
        ],
    ),
    (
        "swarm",
        [
            "agent-sales: The blue one is the best we have.",
            "agent-support: Put it on a table.",
            "agent-support: I will send you a new one.",
            "agent-billing: You will get an invoice over 20 euros.",
            "agent-sales: It is 20 euros.",
            "handoffs: 3",
        ],
    ),
    (
        "supervisor",
        [
            "manager: I have a researcher and a coder. What shall they do?",
            "manager: Here it is. Python counts from 0, and so does C.",
            "manager: Here it is. for number in range(10): print(number)",
            "  researcher: completed",
            "  coder: completed",
        ],
    ),
    (
        "supervisor_sequential",
        [
            "coordinator: My team wrote this for you. On the whole: Bees dance to say where the flowers are.",
            "coordinator: My team wrote this for you. On the whole: Trains roll on steel.",
        ],
    ),
    (
        "supervisor_tasks",
        [
            "  (technical: SQLite is one file,)",
            "  (business: and Postgres pays off with more than one machine.)",
            "coordinator: Both are back. SQLite is one file, and Postgres pays off with more than one machine.",
        ],
    ),
    ("loop", ["  (approved after 2 rounds)", "writer: A bicycle has two wheels and stays up while you ride."]),
    (
        "approval_loop",
        [
            "content at once: approved=True after 1",
            "content with the second draft: approved=True after 2",
            "  Roses are red, and so is bread.",
            "never content: approved=False after 3",
            "  This is the last draft; the reviewers did not approve it. Roses are red, as somebody said.",
            "says NOT APPROVED: approved=False after 3",
            "says APPROVED: approved=True after 1",
        ],
    ),
    (
        "conversation_pipeline",
        [
            "I try print(1, 2). Then print(1, 2, 3). It is done: print(1, 2, 3) writes them.",
            "  analysis -> coding (The numbers from 1 to 3 are wanted)",
            "  coding -> review (A draft)",
            "  review -> coding (3 is missing)",
            "  coding -> review (A fix)",
            "  review -> report (Good as it is)",
        ],
    ),
    (
        "routing",
        [
            "Hello. (cli, other) -> agent-triage: What is it about?",
            "I have a question. (cli, billing) -> agent-billing: Invoices are my business.",
            "Hello. (phone, other) -> agent-short: OK",
            "I need you at once. (phone, billing) -> agent-boss: I see to it myself.",
        ],
    ),
    (
        "semantic_routing",
        [
            "My invoices are wrong! -> billing: Invoices are my business.",
            "The screen stays black. -> support: Have you turned it off and on again?",
            "I want my money back. -> billing: Invoices are my business.",
            "Good morning. -> triage: What is it about?",
        ],
    ),
    (
        "human_escalation",
        [
            "you: I want to talk to a person.",
            "  (Carol's telephone rings: They want their money back.)",
            "agent-triage: Carol will help you.",
            "carol: Hello, this is Carol. You get your money back.",
            "you: Thank you, Carol!",
            "  (phase escalation, agent None)",
            "agent-triage: It is me again, the machine.",
        ],
    ),
    (
        "status_bus",
        [
            "[researcher] search ok Found 7 pages",
            "[coder] run_tests failed 3 tests",
            "[researcher] task completed Have a look at it.",
            "[coder] task completed Have a look at it.",
            "failed: ['coder']",
        ],
    ),
    (
        "delivery_strategies",
        [
            "    2.0 s  The train to London is late.",
            "   11.0 s  The train to London is late.",
            "   16.4 s  The train to Paris is late.",
            f"   10.0 s  {LATE}",
            f"    9.0 s  {LATE}",
        ],
    ),
]


@pytest.mark.parametrize(("name", "lines"), PROGRAMS, ids=[name for name, _ in PROGRAMS])
def test_it_prints_what_it_promises(name: str, lines: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run(loaded(name).main())
    printed = iter(capsys.readouterr().out.splitlines())
    missed = [line for line in lines if line not in printed]  # an iterator: in this order
    assert missed == []


def test_a_program_runs_by_itself() -> None:
    root = str(EXAMPLES.parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / "pipeline.py")],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "agent-resolver: Goodbye." in ran.stdout


@pytest.mark.parametrize("name", [name for name, _ in PROGRAMS])
def test_a_program_can_be_talked_with_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, name, raising=False)
    runtime = load(str(EXAMPLES / f"{name}.py"))
    del sys.modules[name]

    async def main() -> None:
        async with simulate(runtime) as call:
            assert runtime.orchestration is not None
            await call.hears(runtime.orchestration.agents()[0].greeting)

    run(main())


def test_voice_triage_two_agents_look_things_up_while_the_receptionist_talks_on() -> None:
    runtime = loaded("voice_triage").runtime
    assert isinstance(runtime, Runtime)

    async def main() -> None:
        async with simulate(runtime) as call:
            await call.hears("Good morning.")
            await call.say("where is my order")
            await call.hears("Our order desk is looking for it.")
            await call.say("i need an appointment")
            await call.hears("I have somebody look at the diary.")
            await call.say("when are you open")
            await call.hears("We are open from eight to six.")
            result = await call.hears("I have heard from my colleagues.")
            assert result.started == pytest.approx(call.floor_opened(before=result) + 1.0, abs=TICK)
            await call.hears("Tuesday at nine.")
            await call.silence(10)
            assert "with you by noon" in call.transcript
            entries = await call.runtime.deliveries(call.room, list(Status))
            assert [entry.status for entry in entries] == [Status.HEARD] * 2
            assert {entry.delivery.metadata["input"] for entry in entries} == {
                "Where is the order of this caller? (asked by caller)",
                "When is the next free appointment? (asked by caller)",
            }
            await asyncio.sleep(0)

    run(main())
