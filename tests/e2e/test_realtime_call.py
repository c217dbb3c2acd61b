"""A call in real Chromium with a speech-to-speech model: Deepgram's Voice Agent, by way of its real SDK.

Behind the SDK is a server of our own that hears with the embedded recogniser and speaks with the embedded voice. The
caller asks for work, talks on, cuts the agent short, and is told the result once both are silent: read off a recording
of the page's <audio> element.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.chromium import Recording, chromium, needs_chromium
from tests.e2e.loudness import cut, stretches
from tests.e2e.server import ROOT, server
from tests.e2e.test_browser_call import ALIGNED, BUFFER, STOPPED, UNDERSTOOD, share
from tests.e2e.voices import speech, transcript
from tests.fakes.cloud import Cloud, talks
from tests.fakes.deepgram_agent import Asked
from tests.fakes.deepgram_agent import Call as Function
from tests.fakes.deepgram_speak import said_by
from tests.fakes.hearing import Sphinx
from voice.stt.pocketsphinx import Pocketsphinx
from voice.stt.recognizer import Hints
from voice.tts.flite import Flite

pytestmark = [pytest.mark.browser, pytest.mark.speech, pytest.mark.long]

SAID = ("look into electric cars", "tell me a story", "what is two plus three")
SENTENCES = Hints(grammar=f"#JSGF V1.0; grammar g; public <s> = {' | '.join(SAID)};")
STORY = (
    "Once upon a time there was a small boat that wanted to see the whole wide sea. It went out with the wind early in "
    "the morning, and nobody in the harbor knew how far it would go. In the end the boat came home with the summer, "
    "and it had seen all of the islands."
)
SUM = "Two plus three is five."
RESULT = "Electric cars are older than petrol cars."
HEARD = """[...document.querySelectorAll("#transcript .said")].map((line) => line.querySelector(".heard").textContent)
    .join(" | ")"""


def thinks(asked: Asked) -> str | list[Function]:
    """What the Voice Agent makes of a turn."""
    if asked.text == SAID[1]:
        return STORY
    return SUM if asked.text == SAID[2] else talks(asked)


@dataclass(frozen=True)
class Held:
    """A call that was held. `deliveries`: what the page shows of them while the result waits, and in the end."""

    recording: Recording
    page: str
    deliveries: list[str]
    problems: list[str]


async def call(folder: Path) -> Held:
    """Hold it."""
    keep = Path(os.environ.get("SOTTOVOCE_KEEP") or folder)
    keep.mkdir(parents=True, exist_ok=True)
    ears = Pocketsphinx()
    await ears.prepare()
    work, story, total = [await asyncio.to_thread(speech, text) for text in SAID]
    async with (
        Cloud(lambda: Sphinx(ears, SENTENCES), said_by(Flite()), talks=thinks, over=0.5) as cloud,
        server(folder, target=ROOT / "examples" / "realtime.py", **cloud.environment) as running,
        chromium(running.url, speaks=True) as caller,
    ):
        await caller.join("Ann")
        await caller.when(f"{HEARD}.includes('look into for you?')")
        await caller.say(work)
        await caller.when(f"{HEARD}.includes('else meanwhile')")
        await caller.say(story)
        await caller.when(f"{HEARD}.includes('a small boat')")
        await caller.screenshot(keep / "realtime-speaking.png")
        await caller.when("document.querySelector('#deliveries').innerText.includes('Waits: the agent is speaking')")
        waiting = await caller.page.inner_text("#deliveries")
        await caller.say(total)
        await caller.when(f"{HEARD}.includes('five')")
        await caller.when(f"{HEARD}.includes('than petrol cars')")
        await asyncio.sleep(0.5)
        recording = await caller.recording(until=await caller.clock())
        await caller.screenshot(keep / "realtime-told.png")
        (keep / "realtime.wav").write_bytes(recording.wav)
        page = await caller.page.inner_text("#transcript")
        told = await caller.page.inner_text("#deliveries")
        await caller.leave()
    return Held(recording, page, [waiting, told], caller.problems)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Held:
    """The call, held once for all that is asked of it."""
    needs_chromium()
    if not (Pocketsphinx.check().usable and Flite.check().usable):
        pytest.skip("the fake Voice Agent needs pocketsphinx and flite")
    return asyncio.run(call(tmp_path_factory.mktemp("realtime")))


def test_who_cuts_in_silences_the_agent_and_is_answered(held: Held) -> None:
    begun = stretches(held.recording.microphone)[-1].start
    (silenced,) = [each for each in stretches(held.recording.ear) if each.start < begun < each.end]
    assert silenced.end - begun <= STOPPED
    assert "interrupted: the rest was not heard" in held.page
    assert held.page.index("interrupted") < held.page.index(SAID[2]) < held.page.index(SUM)


def test_the_result_is_told_once_when_both_are_silent(held: Held) -> None:
    caller = stretches(held.recording.microphone)
    agent = stretches(held.recording.ear, gap=0.25)
    last = max(each.end for each in caller)
    lines = [(each, transcript(cut(held.recording.ear, each))) for each in agent if each.start > last]
    begun = max(lines, key=lambda line: share("i have a result for you", line[1]))[0].start
    assert len(caller) == len(SAID)
    assert begun >= last + BUFFER - ALIGNED
    assert begun >= max(each.end for each in agent if each.start < begun) + BUFFER - ALIGNED
    heard = " ".join(text for _, text in lines)
    assert share(f"{SUM} I have a result for you. {RESULT}", heard) >= UNDERSTOOD, heard
    assert "islands" not in heard


def test_the_page_shows_who_spoke_and_what_waited(held: Held) -> None:
    said = [line for line in held.page.splitlines() if line]
    told = [said.index(line) for line in (*SAID, SUM, f"I have a result for you. {RESULT}")]
    assert told == sorted(told)
    assert [said[at - 1] for at in told] == ["You", "You", "You", "Host", "result"]
    assert [shown.splitlines()[-1] for shown in held.deliveries] == ["Waits: the agent is speaking", "Heard"]
    assert held.problems == []
