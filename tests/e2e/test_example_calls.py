"""The examples of several agents, called from real Chromium: what is said is understood, and who answers is heard."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.chromium import chromium, needs_chromium
from tests.e2e.server import ROOT, server
from tests.e2e.voices import speech

pytestmark = [pytest.mark.browser, pytest.mark.speech, pytest.mark.processes]

HANDOVER = "Front desk: One moment, I will connect you with billing. | Front desk handed over to Billing | "
CALLS: dict[str, tuple[str, ...]] = {
    "triage": (
        "Front desk: Hello",
        "i have a question about my bill",
        f"{HANDOVER}Billing: Billing here.",
        "one two three",
        "Billing: Number",
    ),
    "loop_reviewers": (
        "Writer: Hello",
        "write a welcome message for old friends",
        "Writer: I am on it.",
        "who will read it",
        "Writer: One looks",
        "",
        "It reads: Welcome, old friends! The door is open, and the tea is hot.",
    ),
}
"""What the page must show as heard, and in between what the caller then says, also into it ("": nothing, they wait)."""
HEARD = """[...document.querySelectorAll("#transcript .said, #transcript .handoff")].map((line) => line.matches(".said")
    ? `${line.querySelector(".who").textContent}: ${line.querySelector(".heard").textContent}` : line.textContent)
    .join(" | ")"""
"""What the page shows as heard, line by line."""


async def call(name: str, folder: Path) -> list[str]:
    """Hold the call; returns the browser's complaints."""
    folder.mkdir()
    sentences = CALLS[name][1::2]
    said = [await asyncio.to_thread(speech, sentence) if sentence else b"" for sentence in sentences]
    async with (
        server(folder, target=ROOT / "examples" / f"{name}.py") as running,
        chromium(running.url, speaks=True) as caller,
    ):
        await caller.join("Ann")
        for line, answer in zip(CALLS[name][::2], [*said, b""], strict=True):
            await caller.when(f"{HEARD}.includes({json.dumps(line)})")
            if answer:
                await caller.say(answer)
        if name == "triage":
            assert await caller.page.inner_text("#floor-with") == "With Billing"
        else:
            assert "round 2: done" in await caller.page.inner_text("#tasks")
        await caller.leave()
    return caller.problems


def test_the_agents_of_examples_understand_and_answer_a_caller_in_a_browser(tmp_path: Path) -> None:
    needs_chromium()

    async def both() -> dict[str, list[str]]:
        async with asyncio.TaskGroup() as group:
            calls = {name: group.create_task(call(name, tmp_path / name)) for name in CALLS}
        return {name: task.result() for name, task in calls.items()}

    assert asyncio.run(both()) == {"triage": [], "loop_reviewers": []}
