"""Whose sound a model hears: one caller at a time, nothing of a turn lost."""

from __future__ import annotations

import asyncio

from tests.voice.doubles import sleep_until, sound
from voice.clock import run
from voice.leg import FRAME_SECONDS
from voice.realtime.microphone import FADE, KEPT, LEAD_IN, Microphone

A, B = sound(1, False), sound(2, False)


def test_the_first_to_speak_has_it_and_the_other_is_heard_afterwards() -> None:
    async def main() -> None:
        heard: list[bytes] = []
        microphone = Microphone(heard.append)
        microphone.begin("anna")
        microphone.begin("bert")
        for _ in range(10):
            microphone.hear("anna", A)
            microphone.hear("bert", B)
        assert heard == [A] * 10
        microphone.end("anna")
        assert (microphone.holder, heard[10:]) == ("bert", [B] * 10)
        microphone.hear("anna", A)
        microphone.hear("bert", B)
        assert heard[20:] == [B]
        microphone.close()

    run(main())


def test_of_who_is_silent_only_the_last_half_second_is_kept() -> None:
    async def main() -> None:
        heard: list[bytes] = []
        microphone = Microphone(heard.append)
        microphone.hear("anna", A)
        for _ in range(100):
            microphone.hear("bert", B)
        microphone.begin("bert")
        assert heard == [A] + [B] * round(LEAD_IN / FRAME_SECONDS)
        microphone.leave("bert")
        assert microphone.holder is None

    run(main())


def test_another_model_hears_the_turn_that_is_under_way_again() -> None:
    async def main() -> None:
        heard: list[bytes] = []
        microphone = Microphone(heard.append)
        microphone.hear("anna", A)
        microphone.replay()
        assert heard == [A]
        microphone.begin("anna")
        for _ in range(2 * round(KEPT / FRAME_SECONDS)):
            microphone.hear("anna", A)
        heard.clear()
        microphone.replay()
        assert heard == [A] * round(KEPT / FRAME_SECONDS)
        microphone.close()

    run(main())


def test_silence_is_made_where_frames_stop_and_not_for_ever() -> None:
    async def main() -> None:
        heard: list[bytes] = []
        loop = asyncio.get_running_loop()
        microphone = Microphone(heard.append)
        microphone.hear("anna", A)
        await sleep_until(loop.time() + 60)
        assert heard[0] == A
        assert not any(map(any, heard[1:]))
        assert abs(sum(map(len, heard[1:])) / 32_000 - FADE) < 0.2

    run(main())
