"""A call in real Chromium by way of Deepgram's and Anthropic's real SDKs, each of which dies while it goes on.

Both talk to servers of our own that speak the real wire formats: what hears is the embedded recogniser, what speaks the
embedded voice, both behind Deepgram's WebSockets; what thinks is a few rules behind Anthropic's. So what the caller
hears went the whole way, and is read off a recording of the page's <audio> element.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.chromium import Recording, chromium, needs_chromium
from tests.e2e.loudness import cut, stretches
from tests.e2e.server import server
from tests.e2e.test_browser_call import UNDERSTOOD, share
from tests.e2e.voices import speech, transcript
from tests.fakes.anthropic import Answer, FakeAnthropic, Use
from tests.fakes.deepgram import FakeDeepgram
from tests.fakes.deepgram_listen import FakeListen
from tests.fakes.deepgram_speak import FakeSpeak, said_by
from tests.fakes.faults import Fault
from tests.fakes.hearing import Sphinx
from voice.stt.pocketsphinx import Pocketsphinx
from voice.stt.recognizer import Hints
from voice.tts import flite
from voice.tts.flite import Flite

pytestmark = [pytest.mark.browser, pytest.mark.speech, pytest.mark.processes]

KEY = "a-key-that-is-in-no-log"
HEARD = """[...document.querySelectorAll("#transcript .said")].map((line) => line.querySelector(".heard").textContent)
    .join(" | ")"""
RESULT = "Electric cars need a third of the energy of petrol cars."
STORY = (
    "Once upon a time there was a small boat that wanted to see the whole wide sea. It went out with the wind early in "
    "the morning, and nobody in the harbor knew how far it would go. In the end the boat came home with the summer, "
    "and it had seen all of the islands."
)
"""Longer than what is made ahead."""
SAID = ("look into electric cars", "tell me a story", "tell me a joke")
SENTENCES = Hints(grammar=f"#JSGF V1.0; grammar g; public <s> = {' | '.join(SAID)};")


def thinks(body: Mapping[str, Any]) -> Answer:
    """What the model makes of a request."""
    said = json.dumps(body["messages"][-1])
    if "tool_result" in said:
        return "My two analysts are on it. Ask me something else meanwhile."
    if "<result" in said:
        return f"Here is what they found. {RESULT}"
    if "electric cars" in said:
        return [Use("delegate_workers", {"task": "electric cars"})]
    return STORY if "story" in said else "I am not sure what you mean."


async def call(folder: Path) -> tuple[Recording, list[str], str]:
    """Hold it; returns what was recorded, the browser's complaints and the server's log."""
    ears = Pocketsphinx()
    await ears.prepare()
    listening = FakeListen(lambda: Sphinx(ears, SENTENCES))
    speaking = FakeSpeak(said_by(Flite()))
    deepgram, anthropic = FakeDeepgram(listening, speaking, key=KEY), FakeAnthropic(thinks, key=KEY)
    cars, story, joke = [await asyncio.to_thread(speech, text) for text in SAID]
    async with deepgram, anthropic:
        clouds = {
            "DEEPGRAM_API_KEY": KEY,
            "DEEPGRAM_BASE_URL": deepgram.url,
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_BASE_URL": anthropic.url,
        }
        async with server(folder, "--log-level", "info", **clouds) as demo, chromium(demo.url, speaks=True) as caller:
            await caller.join("Ann")
            await caller.when(f"{HEARD}.includes('Ask me to look into electric cars')")
            await caller.say(cars)
            await caller.when(f"{HEARD}.includes('Ask me something else')")
            assert (listening.opened, bool(speaking.opened), bool(anthropic.requests)) == (1, True, True)

            await caller.say(story)
            await caller.when(f"{HEARD}.includes('a small boat')")  # in the middle of its sound
            for handler in (listening, speaking):
                handler.faults.always(Fault(status=503))
            deepgram.cut()
            await caller.when(f"{HEARD}.includes('all of the islands')")
            await caller.when(f"{HEARD}.includes('of petrol cars')")

            anthropic.faults.always(Fault(status=529))
            await caller.say(joke)
            await caller.when(f"/Halloween|I only know|I am only a script/.test({HEARD})")
            await asyncio.sleep(1.0)
            recording = await caller.recording()
            await caller.leave()
    return recording, caller.problems, (folder / "server.log").read_text()


def test_a_call_by_way_of_the_real_sdks_outlives_both_providers(tmp_path: Path) -> None:
    needs_chromium()
    if not (Pocketsphinx.check().usable and flite.Flite.check().usable):
        pytest.skip("the fake cloud needs pocketsphinx and flite")
    recording, problems, log = asyncio.run(call(tmp_path))
    ear = recording.ear
    heard = " ".join(transcript(cut(ear, stretch)) for stretch in stretches(ear, gap=0.25))
    for line in (RESULT, STORY):
        assert share(line, heard) >= UNDERSTOOD, f"{line!r} is not in what was heard: {heard}"
    assert heard.count("petrol") <= 1
    assert problems == []
    assert KEY not in log
    for gone in ("recogniser deepgram", "model anthropic"):
        assert f"{gone} failed" in log
