"""The examples of several agents, called from real Chromium: what is said is understood, and who answers is heard."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.e2e.chromium import chromium, needs_chromium
from tests.e2e.server import ROOT, server
from tests.e2e.voices import speech

pytestmark = [pytest.mark.browser, pytest.mark.speech]

CALLS: dict[str, tuple[str, ...]] = {
    "triage": (
        "What can we do for you?",
        "i have a question about my bill",
        "connect you with billing. Billing here. Please tell me the three digits on your bill.",
        "one two three",
        "Number one two three is paid.",
    ),
    "loop_reviewers": (
        "For whom shall I write one?",
        "write a welcome message for old friends",
        "Three colleagues will read it before you hear it.",
        "who will read it",
        "and one at the facts.",
        "",
        "It reads: Welcome, old friends! The door is open, and the tea is hot.",
    ),
}
"""What the agents are heard to say, and in between what the caller says ("": nothing, they wait)."""


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
            await caller.when(f"document.body.innerText.includes({json.dumps(line)})")
            if answer:
                await asyncio.sleep(0.5)  # the line's last word may still be at the ear
                await caller.say(answer)
        await caller.leave()
    return caller.problems


def test_the_agents_of_examples_understand_and_answer_a_caller_in_a_browser(tmp_path: Path) -> None:
    needs_chromium()

    async def both() -> dict[str, list[str]]:
        async with asyncio.TaskGroup() as group:
            calls = {name: group.create_task(call(name, tmp_path / name)) for name in CALLS}
        return {name: task.result() for name, task in calls.items()}

    assert asyncio.run(both()) == {"triage": [], "loop_reviewers": []}
