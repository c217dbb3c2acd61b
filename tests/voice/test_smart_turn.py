"""Smart Turn: the model's answers reach the ear, its memory is bounded, and what is wrong is named."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest

from tests.bench.smart_turn import SENTENCES, recorded
from tests.voice.doubles import FakeLeg, Recognizer, Synthesizer, Vad, log_of, times_of
from voice import pipecat, smart_turn
from voice.audio import silence
from voice.cascade import CascadeChannel
from voice.clock import run
from voice.endpointing import SoFar, TurnModel
from voice.events import TurnEnded
from voice.mel import features
from voice.smart_turn import KEPT, SmartTurn, SmartTurnStream
from voice.tts.flite import Flite


@pytest.fixture(autouse=True)
def usable() -> None:
    check = SmartTurn.check()
    if not check.usable:
        pytest.skip(f"{check.detail}: {check.fix}")


def over(*pcm: bytes) -> float:
    async def main() -> float:
        stream = SmartTurn().stream()
        for each in pcm:
            stream.push(each)
        return await stream.over()

    return run(main())


def test_it_is_a_turn_model_and_is_ready_when_prepared() -> None:
    model = SmartTurn()
    assert isinstance(model, TurnModel)
    run(model.prepare())
    run(model.prepare())
    assert smart_turn.session() is smart_turn.session()


@pytest.mark.speech
@pytest.mark.parametrize("text", SENTENCES[:2])
def test_a_whole_sentence_is_over_and_half_of_it_is_not(text: str) -> None:
    """Many of a synthetic voice's are beyond it, see the bench; these two are clear."""
    if not Flite.check().usable:
        pytest.skip(Flite.check().fix)
    whole, cut = run(recorded(Flite("slt"), text))
    assert 0.0 <= over(cut + silence(0.2)) < 0.2
    assert 0.7 < over(whole + silence(0.2)) <= 1.0


@pytest.mark.speech
def test_it_answers_what_pipecat_itself_would() -> None:
    if not Flite.check().usable:
        pytest.skip(Flite.check().fix)
    pipecat.load("pipecat")
    from pipecat.audio.turn.smart_turn.local_smart_turn_v3 import LocalSmartTurnAnalyzerV3

    theirs = LocalSmartTurnAnalyzerV3(sample_rate=16_000)
    for text in SENTENCES[:1]:
        for pcm in run(recorded(Flite("rms"), text)):
            sound = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
            assert over(pcm) == pytest.approx(theirs._predict_endpoint(sound)["probability"], abs=1e-3)


def test_only_the_last_eight_seconds_count_however_they_were_cut() -> None:
    noise = np.random.default_rng(1).normal(0, 2000, 16_000 * 20).astype("<i2").tobytes()
    late = noise[-KEPT:]
    assert over(late) == over(noise) == over(*(noise[at : at + 640] for at in range(0, len(noise), 640)))
    assert over(late) != over(noise[:KEPT])


def test_a_callers_memory_is_bounded() -> None:
    stream = SmartTurnStream()
    for _ in range(5000):
        stream.push(bytes(640))
    assert len(stream._sound) <= 2 * KEPT + 640


def test_a_turn_is_forgotten_when_it_is_over_and_no_sound_is_no_end() -> None:
    async def main() -> tuple[float, float, float]:
        stream = SmartTurn().stream()
        none = await stream.over()
        stream.push(np.random.default_rng(1).normal(0, 9000, 64_000).astype("<i2").tobytes())
        stream.reset()
        stream.push(silence(1))
        forgotten = await stream.over()
        fresh = SmartTurn().stream()
        fresh.push(silence(1))
        return none, forgotten, await fresh.over()

    none, forgotten, fresh = run(main())
    assert none == 0.0
    assert forgotten == fresh


def test_it_thinks_in_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    judge = smart_turn.judge
    monkeypatch.setattr(smart_turn, "judge", lambda pcm: (names.append(threading.current_thread().name), judge(pcm))[1])
    over(silence(0.5))
    assert names
    assert all(name.startswith("smart-turn") for name in names)


def test_callers_who_are_judged_at_once_do_not_mix() -> None:
    sounds = [np.random.default_rng(seed).normal(0, 500 * seed, 32_000).astype("<i2").tobytes() for seed in (1, 5)]

    async def main() -> list[float]:
        streams = [SmartTurn().stream() for _ in sounds]
        for stream, sound in zip(streams, sounds, strict=True):
            stream.push(sound)
        return await asyncio.gather(*(stream.over() for stream in streams))

    assert run(main()) == [over(sound) for sound in sounds]


@pytest.mark.parametrize(
    ("turn", "seconds"),
    [
        (SoFar("compare postgres and"), 3.0),
        (SoFar("compare postgres and", over=0.49), 3.0),
        (SoFar("compare postgres and", over=0.5), 0.2),
        (SoFar("compare them", complete=True, over=0.1), 3.0),
        (SoFar("", voiced=0.3), 0.35),
        (SoFar("", voiced=0.3, over=0.9), 0.2),
        (SoFar("", voiced=0.7), 3.0),
        (SoFar("mm-hm", backchannel=True, over=0.1), 0.15),
    ],
)
def test_a_turn_lasts_until_the_model_finds_it_over(turn: SoFar, seconds: float) -> None:
    assert SmartTurn().wait(turn) == seconds


@pytest.mark.parametrize(("over", "wait"), [(0.9, 0.2), (0.1, 3.0)])
def test_in_a_call_it_ends_turns(monkeypatch: pytest.MonkeyPatch, over: float, wait: float) -> None:
    heard: list[int] = []
    monkeypatch.setattr(smart_turn, "judge", lambda pcm: (heard.append(len(pcm)), over)[1])

    async def main() -> tuple[str, float]:
        channel = CascadeChannel(stt=Recognizer(), tts=Synthesizer(), vad=Vad(), endpointer=SmartTurn())
        async with channel, asyncio.TaskGroup() as group, asyncio.timeout(60):
            anna = FakeLeg("anna")
            visit = group.create_task(channel.serve(anna))
            told = log_of(channel)
            await anna.say("compare postgres and sqlite", 3.5)
            turn = await anext(channel.turns())
            (ended,) = times_of(told, TurnEnded)
            visit.cancel()
            return turn.text, ended - turn.ended

    text, silence = run(main())
    assert text == "compare postgres and sqlite"
    assert silence == pytest.approx(wait, abs=0.02)
    assert heard
    assert all(1.2 < size / 32_000 < 1.8 for size in heard), "the turn, with some sound before it"


@pytest.mark.parametrize(
    ("turn", "seconds"),
    [
        (SoFar("compare"), None),
        (SoFar("compare", eager=True), 0.0),
        (SoFar("compare", complete=True), 0.0),
        (SoFar("compare", complete=True, eager=True, over=0.2), None),
        (SoFar("compare", over=0.6), 0.0),
        (SoFar("mm-hm", over=0.9, backchannel=True), None),
    ],
)
def test_an_answer_is_begun_ahead_when_it_seems_over(turn: SoFar, seconds: float | None) -> None:
    assert SmartTurn().foresee(turn) == seconds


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0}, "SmartTurn.threshold must be a probability"),
        ({"threshold": 1.0}, "SmartTurn.threshold must be a probability"),
        ({"silence": 0}, "SmartTurn.silence must be seconds"),
        ({"longest": 11}, "SmartTurn.longest must be seconds"),
        ({"backchannel": float("nan")}, "SmartTurn.backchannel must be seconds"),
        ({"silence": 2, "longest": 1}, r"SmartTurn.silence must be at most longest \(1\)"),
    ],
)
def test_an_option_that_makes_no_sense_is_named(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SmartTurn(**options)


def test_without_pipecat_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smart_turn, "model_path", lambda: None)
    monkeypatch.setattr(smart_turn, "_session", None)
    check = SmartTurn.check()
    assert (check.usable, check.fix) == (False, "pip install 'sottovoce[pipecat]'")
    with pytest.raises(RuntimeError, match=r"missing: pip install 'sottovoce\[pipecat\]'"):
        run(SmartTurn().prepare())


def test_another_model_is_refused_with_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    from voice.vad import silero

    model = next(iter(silero.models().values()))
    monkeypatch.setattr(smart_turn, "model_path", lambda: model)
    monkeypatch.setattr(smart_turn, "_session", None)
    with pytest.raises(RuntimeError, match=r"takes .*'sr'.* not .*input_features.*not supported"):
        smart_turn.session()


class TestFeatures:
    @pytest.mark.parametrize("samples", [0, 1, 100, 16_000, 128_000, 200_000])
    @pytest.mark.parametrize("loud", [1, 9000])
    def test_they_are_those_the_model_was_trained_on(self, samples: int, loud: int) -> None:
        theirs = pytest.importorskip("pipecat.audio.turn.smart_turn._whisper_features")
        noise = np.random.default_rng(samples).normal(0, loud, samples).clip(-32768, 32767).astype("<i2")
        given = noise[-128_000:].astype(np.float32) / 32768
        expected = theirs.compute_whisper_log_mel_features(np.pad(given, (128_000 - len(given), 0)))
        assert np.abs(features(noise.tobytes()) - expected).max() < 1e-6

    def test_a_tone_is_in_its_band(self) -> None:
        tone = (8000 * np.sin(2 * np.pi * 1000 * np.arange(128_000) / 16_000)).astype("<i2").tobytes()
        loudest = features(tone)[:, 100:700].mean(axis=1).argmax()
        mels = np.linspace(0, 15 + 27 * np.log(8) / np.log(6.4), 82)  # the scale is 15 at 1 kHz
        assert loudest == abs(mels[1:-1] - 15).argmin()
