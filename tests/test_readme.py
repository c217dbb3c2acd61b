"""The README tells the truth: its Python imports what exists and runs, its commands, names and files are there."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from delivery import Status
from orchestration import Runtime
from orchestration.cli import app
from orchestration.simulation import SimulatedCall, simulate
from orchestration.target import load
from voice.clock import run

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[Any]:
    """The fenced blocks of a language, named by the README's line in which each begins."""
    found = re.finditer(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [pytest.param(m[1], id=f"line {README[: m.start()].count(chr(10)) + 1}") for m in found]


def the_block(text: str) -> str:
    (block,) = [param.values[0] for param in blocks("python") if text in param.values[0]]
    return str(block)


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.delitem(sys.modules, "demo", raising=False)
    runtime = load(str(ROOT / "examples" / "demo.py"))
    monkeypatch.setitem(sys.modules, "demo", sys.modules["demo"])
    return runtime


@pytest.mark.parametrize("code", blocks("python"))
def test_python_parses_and_imports_what_there_is(code: str) -> None:
    tree = compile(code, "README.md", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == [], ast.unparse(node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)


def test_the_test_that_it_shows_passes(demo: Runtime) -> None:
    given: dict[str, Any] = {"runtime": demo}
    exec(the_block("(simulate)"), given)
    tests = [each for name, each in given.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        run(test(simulate))


def test_the_runtime_that_it_shows_can_be_built_and_talked_with() -> None:
    """With the reader's part filled in: what reads, what weighs, and which model."""
    from orchestration.models.scripted import Intent, Scripted

    understands = Scripted(
        [Intent(["compare {topic}"], call="delegate_workers", arguments=lambda slots: {"task": slots["topic"]})]
    )
    code = the_block("delivery=WaitForIdle").replace("model=...", "model=understands")

    async def read_everything_about(topic: str) -> str:
        return topic

    async def weigh(notes: str) -> str:
        return f"{notes} weigh little."

    given: dict[str, Any] = {
        "understands": understands,
        "read_everything_about": read_everything_about,
        "weigh": weigh,
    }
    exec(code, given)

    async def main() -> None:
        async with simulate(given["runtime"]) as call:
            await call.say("compare feathers")
            await call.hears("feathers weigh little.")

    run(main())


def test_the_delivery_that_it_shows_is_heard(demo: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    code = compile(the_block("runtime.deliver("), "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def script(call: SimulatedCall) -> None:
        given: dict[str, Any] = {"runtime": call.runtime}
        await eval(code, given)
        assert given["outcome"].status is Status.HEARD

    async def main() -> None:
        async with simulate(demo, room="lobby", caller="ann") as call:
            await script(call)

    run(main())
    assert capsys.readouterr().out == "Your table is booked for eight.\n"


def test_the_receipt_that_it_shows_tells_all(demo: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    code = compile(the_block("receipt.steps()"), "README.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def main() -> None:
        async with simulate(demo, room="lobby", caller="ann") as call:
            dead = await call.runtime.deliver("lobby", "One two three four five six seven eight nine ten.")
            for word in ("two", "four", "six"):
                await call.hears(word)
                await call.interrupt("what time is it in rome")
            assert (await dead).status is Status.DEAD
            id = (await call.runtime.deliver("lobby", "The boat is here.")).id
            await eval(code, {"runtime": call.runtime, "id": id})
            await call.hears("ten.")
            assert (await dead).status is Status.HEARD

    run(main())
    out = capsys.readouterr().out
    assert "heard The boat is here." in out
    assert "given up after 3 tries: interrupted by ann" in out


def test_the_commands_that_it_shows_are_there() -> None:
    shown = [line for param in blocks("sh") for line in param.values[0].splitlines()]
    makes = {line.split()[1] for line in shown if line.startswith("make ")}
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert makes
    assert makes <= targets
    commands = {line.split()[1] for line in shown if line.startswith("sottovoce ")}
    commands |= set(re.findall(r"`sottovoce (\w+)", README))
    assert commands
    assert commands <= set(get_command(app).commands)  # type: ignore[attr-defined]


def test_the_names_in_its_tables_are_those_in_the_code() -> None:
    from voice.floor import FloorState

    states = [cell for cell in re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE) if cell in set(FloorState)]
    assert states == [state.value for state in FloorState]
    (listed,) = re.findall(r"#((?: \w+ \|)+ \w+)\s*$", README, re.MULTILINE)
    assert set(listed.replace("|", " ").split()) == {status.value for status in Status if status.terminal}


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))) or ["README.md"])
def test_what_it_links_to_is_there(path: str) -> None:
    assert (ROOT / path).exists()
