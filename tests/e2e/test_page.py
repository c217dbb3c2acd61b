"""The page in real Chromium, against a room that echoes: sound both ways, silence on demand, errors in words."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt
import pytest

from orchestration.panel import Panel
from orchestration.server import app
from tests.e2e.chromium import RATE, BrowserCaller, Cable, chromium, wav
from tests.e2e.scene import LENGTH, mid_call
from tests.orchestration.serving import EchoGate, serving
from voice.clock import now
from voice.events import SpeakingStarted
from voice.leg import FRAME_SAMPLES, Leg, Played

pytestmark = [pytest.mark.browser, pytest.mark.asyncio]

Samples = npt.NDArray[np.float64]
CHIRP_SECONDS = 0.12


def chirp() -> Samples:
    """A sweep from 300 to 2,800 Hz, which speech processing leaves alone and correlation finds to the sample."""
    t = np.arange(int(CHIRP_SECONDS * RATE)) / RATE
    wave: Samples = 0.5 * np.sin(2 * np.pi * (300 * t + 1250 / CHIRP_SECONDS * t**2)) * np.hanning(len(t))
    return wave


def chirps(seconds: int) -> bytes:
    """A wav with a chirp at every full second."""
    samples = np.zeros(seconds * RATE)
    for second in range(1, seconds):
        samples[second * RATE : second * RATE + len(chirp())] += chirp()
    return wav(pcm(samples))


def pcm(samples: Samples) -> bytes:
    return (samples * 32767).astype("<i2").tobytes()


def tone(seconds: float, hertz: float = 440.0) -> Samples:
    samples: Samples = 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)
    return samples


def samples_of(channel: bytes) -> Samples:
    return np.frombuffer(channel, "<i2").astype(np.float64) / 32768


def heard_at(channel: bytes) -> list[float]:
    """When chirps begin, in seconds: where the sound is shaped like one, however loud."""
    samples, shape = samples_of(channel), chirp()
    energy = np.convolve(samples**2, np.ones(len(shape)), "valid") * (shape**2).sum()
    score = np.correlate(samples, shape, "valid") / np.sqrt(np.maximum(energy, 1e-3))
    found, at = [], 0
    while at < len(score):
        if score[at] > 0.6:
            peak = at + int(np.argmax(score[at : at + RATE // 10]))
            found.append(peak / RATE)
            at = peak + RATE // 2
        at += 1
    return found


def loud(channel: bytes, threshold: float = 0.02) -> list[float]:
    """Seconds of sound in each stretch of it; a machine too busy to play for up to 100 ms does not end a stretch."""
    blocks = np.abs(samples_of(channel)[: len(channel) // 64 * 32]).reshape(-1, 32).max(axis=1) > threshold
    places = np.flatnonzero(blocks)
    stretches = np.split(places, np.flatnonzero(np.diff(places) > 50) + 1)
    return [len(stretch) * 32 / RATE for stretch in stretches if len(stretch)]


@contextlib.asynccontextmanager
async def house(gate: EchoGate) -> AsyncIterator[str]:
    async with asyncio.timeout(90), serving(app(gate, title="Sottovoce")) as url:
        yield url


async def test_sound_goes_both_ways_and_the_page_says_nothing_bad() -> None:
    gate = EchoGate()
    async with house(gate) as url, chromium(url, microphone=chirps(6)) as caller:
        await caller.join("Ann")
        recording = await caller.recording(until=5.5)
        stats = await caller.stats()
        await caller.leave()
        assert caller.problems == []
    spoken, echoed = heard_at(recording.microphone), heard_at(recording.ear)
    delays = [min(e - s for e in echoed if e > s) for s in spoken[:3]]
    assert len(delays) == 3
    assert 0.04 < min(delays) <= max(delays) < 0.5
    assert stats["unsent"] == 0
    assert gate.served == [True]
    assert len(gate.frames) > 200


async def test_what_was_played_is_counted_to_the_sample() -> None:
    gate = EchoGate(echo=False)
    async with house(gate) as url, chromium(url) as caller:
        await caller.join("Ann")
        leg = gate.legs[0]
        sound = pcm(tone(0.5))
        for at in range(0, len(sound), 640):
            leg.send(sound[at : at + 640], stream=7, position=at // 2)
        leg.finish(7, len(sound) // 2)
        await gate.until(lambda: any(p.samples == len(sound) // 2 for p in gate.played))
        began = await caller.clock()
        recording = await caller.recording(until=began)
        assert caller.problems == []
    reports = [p for p in gate.played if p.stream == 7]
    assert [p.samples for p in reports] == sorted({p.samples for p in reports})
    assert 0 < reports[0].samples < FRAME_SAMPLES
    assert not any(p.flushed for p in reports)
    assert loud(recording.ear) == [pytest.approx(0.5, abs=0.01)]


async def test_clear_silences_the_ear_at_once_and_counts_what_was_heard() -> None:
    gate = EchoGate(echo=False)
    async with house(gate) as url, chromium(url) as caller:
        await caller.join("Ann")
        leg = gate.legs[0]
        sound = pcm(tone(4.0))
        for at in range(0, len(sound), 640):
            leg.send(sound[at : at + 640], stream=1, position=at // 2)
        await gate.until(lambda: any(p.samples > RATE for p in gate.played))
        leg.clear(1)
        await gate.until(lambda: any(p.flushed for p in gate.played))
        await caller.when(f"__sottovoce.now() > {await caller.clock() + 0.2}")
        for at in range(0, len(sound) // 8, 640):
            leg.send(sound[at : at + 640], stream=2, position=at // 2)
        leg.finish(2, len(sound) // 16)
        await gate.until(lambda: gate.played[-1] == Played(2, len(sound) // 16))
        recording = await caller.recording(until=await caller.clock() + 0.2)
        assert caller.problems == []
    flushed = next(p for p in gate.played if p.flushed)
    assert flushed.samples < 1.5 * RATE
    assert loud(recording.ear) == [
        pytest.approx(flushed.samples / RATE, abs=0.006),
        pytest.approx(len(sound) / 16 / RATE, abs=0.01),
    ]


async def test_a_stream_that_runs_dry_goes_on_and_holds_more_back() -> None:
    gate = EchoGate(echo=False)
    async with house(gate) as url, chromium(url) as caller:
        await caller.join("Ann")
        leg = gate.legs[0]
        sound = pcm(tone(0.4))
        half = len(sound) // 2
        for at in range(0, half, 640):
            leg.send(sound[at : at + 640], stream=1, position=at // 2)
        await caller.when("sottovoce.call.stats.underruns === 1")
        for at in range(half, len(sound), 640):
            leg.send(sound[at : at + 640], stream=1, position=at // 2)
        leg.finish(1, len(sound) // 2)
        await gate.until(lambda: gate.played[-1:] == [Played(1, len(sound) // 2)])
        assert (await caller.stats())["prebuffer"] == pytest.approx(0.06)
        assert leg.jitter >= 0.06
        recording = await caller.recording(until=await caller.clock() + 0.2)
        assert caller.problems == []
    assert sum(loud(recording.ear)) == pytest.approx(0.4, abs=0.02)


async def test_other_callers_are_heard_under_the_agent() -> None:
    gate = EchoGate(echo=False)
    async with house(gate) as url, chromium(url) as caller:
        await caller.join("Ann")
        sound = pcm(tone(0.5))
        for at in range(0, 8000, 640):
            gate.legs[0].send_peer(sound[at : at + 640], "ben")
        began = await caller.clock()
        recording = await caller.recording(until=began + 1.0)
        assert caller.problems == []
    assert loud(recording.ear)
    assert max(np.abs(samples_of(recording.ear))) == pytest.approx(0.4, abs=0.05)


async def test_mute_silences_the_microphone_and_the_keyboard_works() -> None:
    gate = EchoGate(echo=False)
    async with house(gate) as url, chromium(url, speaks=True) as caller:
        await caller.page.fill("#name", "Ann")
        await caller.page.keyboard.press("Enter")
        await caller.state("live")
        await caller.say(pcm(tone(0.5)))
        await caller.page.keyboard.press("m")
        assert await caller.page.get_attribute("#mute", "aria-pressed") == "true"
        await gate.until(lambda: any(gate.frames) and not any(np.frombuffer(gate.frames[-1].pcm, "<i2")))
        muted = len(gate.frames)
        await caller.say(pcm(tone(0.5)))
        silent = len(gate.frames)
        await caller.page.keyboard.press("m")
        await caller.say(pcm(tone(0.5)))
        await caller.page.keyboard.press("Escape")
        await caller.state("idle")
        await gate.until(lambda: gate.served == [True])
        assert caller.problems == []
    level = [np.abs(np.frombuffer(frame.pcm, "<i2").astype(int)).max() for frame in gate.frames]
    assert max(level[:muted]) > 8000
    assert max(level[muted:silent]) == 0
    assert silent - muted > 20
    assert max(level[silent:]) > 8000


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000, 96_000])
async def test_resampling_keeps_speech_and_folds_nothing_back(rate: int) -> None:
    """Gain of tones from the sound card's rate to 16 kHz; above 8 kHz they would come back as other tones."""
    measure = """async ([from, to, hertz]) => {
        const { Resampler } = await import(new URL("resampler.js", document.baseURI));
        const resampler = new Resampler(from, to);
        const ring = Float32Array.from({ length: 65536 }, (_, i) => Math.sin((2 * Math.PI * hertz * i) / from));
        let [at, phase, power, count] = [200, 0, 0, 0];
        for (; count < 4000; count += 1) {
            power += resampler.sample(ring, at, phase) ** 2;
            phase += resampler.step;
            at += Math.floor(phase / resampler.phases);
            phase %= resampler.phases;
        }
        return Math.sqrt((2 * power) / count);
    }"""
    async with house(EchoGate()) as url, chromium(url) as caller:
        for hertz in (200, 1000, 3000, 6500):
            for way in ([rate, 16_000, hertz], [16_000, rate, hertz]):
                assert await caller.page.evaluate(measure, way) == pytest.approx(1.0, abs=0.03)
        for hertz in (9000, 12_000, 20_000):
            if rate > 2 * hertz:
                assert await caller.page.evaluate(measure, [rate, 16_000, hertz]) < 0.001


async def test_devices_can_be_chosen_in_the_call_and_are_remembered() -> None:
    gate = EchoGate(echo=False)
    async with house(gate) as url, chromium(url) as caller:
        await caller.join("Ann")
        microphones = caller.page.locator("#microphone option")
        await microphones.nth(1).wait_for(state="attached")
        chosen = await microphones.nth(1).get_attribute("value")
        await caller.page.select_option("#microphone", index=1)
        before = len(gate.frames)
        await gate.until(lambda: len(gate.frames) > before + 25)
        if await caller.page.is_visible("#speaker"):
            await caller.page.select_option("#speaker", index=1)
        await caller.leave()
        assert await caller.page.evaluate("localStorage.getItem('sottovoce:microphone')") == chosen
        await caller.join("Ann")
        await caller.page.wait_for_selector(f"#microphone:has(option:checked[value='{chosen}'])")
        assert caller.problems == []


async def test_a_cut_line_is_mended_and_the_caller_is_the_same() -> None:
    gate = EchoGate()
    async with house(gate) as url:
        cable = Cable(url)
        async with cable.plugged() as near, chromium(near, microphone=chirps(14)) as caller:
            await caller.join("Ann")
            await gate.until(lambda: len(gate.frames) > 50)
            cable.cut()
            await caller.state("reconnecting")
            assert "The line is cut" in await caller.page.inner_text("#floor")
            await gate.until(lambda: gate.served == [False])
            heard = len(gate.frames)
            cable.mend()
            await caller.state("live")
            await gate.until(lambda: len(gate.frames) > heard + 50)
            assert [leg.caller.id for leg in gate.legs] == ["lobby/Ann"] * 2
            assert await caller.page.is_hidden("#problem")
            uncaused = [p for p in caller.problems if "WebSocket connection" not in p]
            assert uncaused == []


async def test_a_caller_of_another_servers_room_is_sent_there_and_comes_home_when_it_dies() -> None:
    one = EchoGate()
    two = EchoGate(callers=one.callers)
    async with house(one) as here, chromium(here, microphone=chirps(14)) as caller:
        async with house(two) as there:
            one.elsewhere["lobby"] = there
            await caller.join("Ann")
            await two.until(lambda: len(two.frames) > 50)
            assert one.legs == []
            assert await caller.page.is_hidden("#problem")
            one.elsewhere.clear()
        await one.until(lambda: len(one.frames) > 50)
        await caller.state("live")
        assert [leg.caller.id for leg in one.legs] == ["lobby/Ann"]
        assert [p for p in caller.problems if "WebSocket connection" not in p] == []


async def test_a_second_window_takes_over_and_the_first_says_so() -> None:
    gate = EchoGate()
    async with house(gate) as url, chromium(url) as caller:
        await caller.join("Ann")
        other = BrowserCaller(await caller.page.context.new_page())
        await other.page.goto(url)
        await other.join("Ann")
        code, words = await caller.problem()
        assert code == "replaced"
        assert "Another window or device took over this call" in words
        await caller.state("idle")
        await gate.until(lambda: len(gate.legs) == 2)
        assert gate.served == [False]


@pytest.mark.parametrize(
    ("name", "room", "code", "words"),
    [("Ben", "lobby", "name_taken", "take another name"), ("Ann", "closed", "unknown_room", "no room called closed")],
)
async def test_a_refusal_is_shown_in_words(name: str, room: str, code: str, words: str) -> None:
    gate = EchoGate(callers={"lobby/Ben": "secret"})
    async with house(gate) as url, chromium(url) as first, chromium(f"{url}/?room=lobby") as caller:
        gate.callers["lobby/Ben"] = "secret"
        await first.page.evaluate("localStorage.setItem('sottovoce:token:/:lobby:Ben', 'secret')")
        await first.join("Ben")
        await caller.join(name, room, wait=False)
        shown, text = await caller.problem()
        assert shown == code
        assert words in text
        await caller.state("idle")
        await first.state("live")


async def test_a_refused_microphone_is_explained() -> None:
    async with house(EchoGate()) as url, chromium(url, allow=False) as caller:
        await caller.join("Ann", wait=False)
        code, words = await caller.problem()
        assert code == "microphone_refused"
        assert "Allow it for this page" in words
        await caller.state("idle")


async def test_no_microphone_is_explained() -> None:
    async with house(EchoGate()) as url, chromium(url) as caller:
        await caller.page.evaluate(
            "void (navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError') })"
        )
        await caller.join("Ann", wait=False)
        code, words = await caller.problem()
        assert code == "no_microphone"
        assert "Plug one in" in words


async def test_plain_http_from_another_host_is_explained_before_anything_is_tried() -> None:
    flags = ("--host-resolver-rules=MAP far.example 127.0.0.1",)
    async with house(EchoGate()) as url:
        far = url.replace("127.0.0.1", "far.example")
        async with chromium(far, flags=flags) as caller:
            code, words = await caller.problem()
            assert code == "insecure"
            assert "https" in words
            assert "ssh -L" in words
            assert await caller.page.is_disabled("#join")


async def test_a_server_that_is_gone_is_explained() -> None:
    async with house(EchoGate()) as url:
        cable = Cable(url)
        async with cable.plugged() as near, chromium(near) as caller:
            cable.cut()
            await caller.join("Ann", wait=False)
            _, words = await caller.problem()
            assert "The server does not answer" in words
            await caller.state("idle")


async def test_the_call_is_shown() -> None:
    gate = EchoGate(echo=False)
    async with house(gate) as url, chromium(url) as caller:
        gate.snapshot = mid_call(lambda kind, payload: None, now() - LENGTH).snapshot(now())
        await caller.join("Ann")
        leg = gate.legs[0]
        text = caller.page.locator
        assert "The floor is yours" in await text("#floor").inner_text()
        assert "1 result waits for the floor" in await text("#floor").inner_text()
        assert "Waits: you are speaking" in await text("#deliveries").inner_text()
        assert "asking 2 of 3 sources" in await text("#tasks").inner_text()
        cut = text("#transcript del")
        assert (await cut.inner_text()).strip().startswith("inside your program")
        assert await text("#transcript .partial").inner_text() == "You\n\nso if we stay with"
        assert "scripted model" in await text("#call .scripted").inner_text()
        drawn = await caller.page.evaluate(
            "(() => { const c = document.querySelector('#timeline');"
            "const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
            "return new Set(new Uint32Array(data.buffer)).size })()"
        )
        assert drawn > 20
        me = "lobby/Ann"
        leg.send_panel("speech", {"caller": me, "on": False, "at": now()})
        leg.send_panel("floor", {"state": "open", "blocker": None, "caller": None, "since": now(), "at": now()})
        await caller.page.wait_for_selector("#floor[data-floor=open]")
        for chars, state in ((0, "started"), (3, "started"), (3, "ended")):
            leg.send_panel(
                "utterance", {"id": "x", "role": "reply", "deliveries": [], "from": 0, "text": "Yes, and", "at": now()}
            )
            leg.send_panel(
                "speaking", {"utterance": "x", "state": state, "question": False, "until": None, "at": now()}
            )
            leg.send_panel("heard", {"utterance": "x", "chars": chars, "at": now()})
        await text("#transcript del", has_text=", and").wait_for()
        spoken = await text("#spoken").inner_text()
        assert "Agent: Yes, interrupted" in " ".join(spoken.split())
        assert await text("#floor-with").inner_text() == ""
        await _hands_over(leg, caller)
        assert caller.problems == []


async def _hands_over(leg: Leg, caller: BrowserCaller) -> None:
    """In mid-answer, and then to a person; and a loop goes into its second round."""
    text = caller.page.locator
    desk = {"start": 0, "name": "Front desk", "heard": None}
    both = [desk, {"start": 11, "name": "Billing", "heard": None}]
    said = {"id": "y", "role": "reply", "deliveries": []}
    leg.send_panel("holder", {"agent": "Front desk", "at": now()})
    leg.send_panel("utterance", {**said, "from": 0, "text": "One moment.", "agents": [desk], "at": now()})
    leg.send_panel("handoff", {"from": "Front desk", "to": "Billing", "utterance": "y", "chars": 11, "at": now()})
    leg.send_panel("holder", {"agent": "Billing", "at": now()})
    leg.send_panel("speaking", {"utterance": "y", "state": "started", "question": False, "until": None, "at": now()})
    leg.send_panel("heard", {"utterance": "y", "chars": 3, "at": now()})
    leg.send_panel("utterance", {**said, "from": 11, "text": " Billing here.", "agents": both, "at": now()})
    await text("#transcript .ahead", has_text="Billing here.").wait_for()
    await text("#floor-with", has_text="With Billing").wait_for()
    assert "Front desk handed over" not in await text("#spoken").inner_text()
    leg.send_panel("heard", {"utterance": "y", "chars": 19, "at": now()})
    await text("#spoken", has_text="Front desk handed over to Billing.").wait_for(state="attached")
    lines = (await text("#transcript").inner_text()).split("\n")
    assert [line for line in lines if line][-7:-2] == [  # the last line is what the caller is saying
        "Front desk",
        "One moment.",
        "Front desk handed over to Billing",
        "Billing",
        "Billing here.",
    ]
    assert await text("#transcript .ahead").last.inner_text() == " here."
    leg.send_panel("speaking", {"utterance": "y", "state": "ended", "question": False, "until": None, "at": now()})
    leg.send_panel("handoff", {"from": "Billing", "to": None, "utterance": None, "chars": 0, "at": now()})
    leg.send_panel("holder", {"agent": None, "at": now()})
    await text("#transcript .handoff", has_text="Billing handed over to a person").wait_for()
    assert (await text("#spoken p").all_text_contents())[-4:] == [
        "Front desk: One moment.",
        "Front desk handed over to Billing.",
        "Billing: Billing, interrupted",
        "Billing handed over to a person.",
    ]
    await text("#floor-with", has_text="With a person; no agent answers").wait_for()
    lanes = await caller.page.evaluate("sottovoce.timeline.lanes.inSight(0, '').map((lane) => lane.label)")
    assert [lane for lane in lanes if lane in ("Agent", "Front desk", "Billing", "A person")] == [
        "Front desk",
        "Billing",
        "A person",
        "Agent",
    ]
    task = {"label": "Writer", "parent": "loop", "progress": "", "at": now()}
    for round_, status in ((1, "done"), (2, "running")):
        leg.send_panel("task", {**task, "id": f"loop/{round_}/writer", "round": round_, "status": status})
    await text("#tasks .round", has_text="round 2: running").wait_for()
    assert await text("#tasks .round").count() == 1
    late = Panel(lambda kind, payload: None)
    late.utterance("z", "I get Billing. One moment.", agents=[(0, "Front desk"), (14, "Front desk")], at=now() - 9)
    late.event(SpeakingStarted("z"), now() - 9)
    late.handoff("Front desk", "Billing", "z", 14, at=now() - 8)
    late.handoff("Billing", "Front desk", "z", 14, back=True, at=now() - 7)
    late.holder("Front desk", at=now() - 7)
    leg.send_panel("snapshot", late.snapshot(now()))
    await text("#transcript", has_text="Billing did not answer").wait_for()
    assert await text("#floor-with").inner_text() == "With Front desk"
    assert await text("#transcript li").all_text_contents() == [
        "Front deskI get Billing.",
        "Front desk handed over to Billing",
        "Billing did not answer; Front desk has the conversation again",
        "Front deskOne moment.",
    ]
