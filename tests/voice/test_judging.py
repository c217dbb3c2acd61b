"""Judging: a turn model is asked at each silence; late answers, failures and silence of its own cost nobody a turn."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from tests.voice.doubles import Recognizer, Vad, quiet, sleep_until, spoken
from voice import clock
from voice.ear import Ear
from voice.endpointing import SoFar
from voice.events import Event, TurnEnded
from voice.judging import PATIENCE, TRIES
from voice.leg import FRAME_SECONDS
from voice.listening import Listening
from voice.stt.recognizer import Hints


class Model:
    """Gives the prepared answers, `delay` seconds after it was asked; an exception is raised. An endpointer, too."""

    name = "test turn model"

    def __init__(self, *answers: float | Exception, delay: float = 0.05) -> None:
        self.answers, self.delay = list(answers), delay
        self.asked: list[float] = []
        self.streams: list[ModelStream] = []

    async def prepare(self) -> None: ...

    def stream(self) -> ModelStream:
        self.streams.append(ModelStream(self))
        return self.streams[-1]

    def wait(self, turn: SoFar) -> float:
        return 0.2 if turn.over is not None and turn.over > 0.5 else 3.0

    def foresee(self, turn: SoFar) -> float | None:
        return 0.0 if turn.over is not None and turn.over > 0.3 else None


class ModelStream:
    def __init__(self, model: Model) -> None:
        self.model = model
        self.frames: list[bytes] = []
        self.turns: list[int] = []

    def push(self, pcm: bytes) -> None:
        self.frames.append(pcm)

    def reset(self) -> None:
        self.turns.append(len(self.frames))
        self.frames = []

    async def over(self) -> float:
        self.model.asked.append(round(asyncio.get_running_loop().time(), 6))
        answer = self.model.answers.pop(0) if self.model.answers else 0.0
        await asyncio.sleep(self.model.delay)
        if isinstance(answer, Exception):
            raise answer
        return answer


def heard(model: Model, *parts: list[bytes]) -> list[tuple[float, str]]:
    """The turns that come of these frames, and when."""
    turns: list[tuple[float, str]] = []

    def tell(event: Event) -> None:
        if isinstance(event, TurnEnded):
            turns.append((round(asyncio.get_running_loop().time(), 3), event.turn.text))

    async def main() -> None:
        ids = itertools.count()
        ear = Ear("anna", lambda: f"t{next(ids)}", model)
        listening = Listening(ear, Recognizer(), Vad(), Hints(), tell)
        async with asyncio.TaskGroup() as group:
            life = group.create_task(listening.run())
            await asyncio.sleep(0)
            at = asyncio.get_running_loop().time()
            for pcm in itertools.chain(*parts):
                listening.hear(pcm)
                at += FRAME_SECONDS
                await sleep_until(at)
            listening.close()
            life.cancel()
        assert len(asyncio.all_tasks()) == 1

    clock.run(main())
    return turns


def test_a_turn_that_the_model_calls_over_ends_soon() -> None:
    model = Model(0.9)
    ((at, text),) = heard(model, spoken("compare them"), quiet(4))
    assert text == "compare them"
    assert at == pytest.approx(0.6 + 0.2, abs=0.02)
    assert model.asked == [pytest.approx(0.7, abs=0.02)]


def test_one_that_is_not_over_is_waited_for_and_asked_about_again() -> None:
    model = Model(0.1, 0.9)
    ((at, text),) = heard(model, spoken("compare"), quiet(1), spoken("them"), quiet(4))
    assert (text, len(model.asked)) == ("compare them", 2)
    assert at == pytest.approx(0.3 + 1 + 0.3 + 0.2, abs=0.02)
    (stream,) = model.streams
    assert stream.turns[0] == pytest.approx(round(1.8 / FRAME_SECONDS), abs=2)  # the whole turn, with its pause
    assert stream.frames == []


def test_an_answer_to_an_old_silence_does_not_count() -> None:
    model = Model(0.9, 0.1, delay=0.3)
    ((at, _),) = heard(model, spoken("compare"), quiet(0.2), spoken("them now"), quiet(4))
    assert at == pytest.approx(0.3 + 0.2 + 0.6 + 3.0, abs=0.02)


def test_an_answer_that_comes_late_ends_the_turn_then() -> None:
    ((at, _),) = heard(Model(0.9, delay=1.0), spoken("compare them"), quiet(4))
    assert at == pytest.approx(0.6 + 0.1 + 1.0, abs=0.02)


@pytest.mark.parametrize("failure", [OSError("the model broke"), None], ids=["fails", "hangs"])
def test_a_model_that_fails_costs_its_longest_silence_and_is_given_up(failure: Exception | None) -> None:
    model = Model(*[failure or 0.9] * 5, delay=0.0 if failure else PATIENCE + 1)
    turns = heard(model, *[[*spoken("compare them"), *quiet(3.5)]] * 5)
    assert [text for _, text in turns] == ["compare them"] * 5
    assert len(model.asked) == TRIES


def test_a_model_that_cannot_take_sound_is_given_up() -> None:
    class Deaf(Model):
        def stream(self) -> Any:
            raise OSError("no model here")

    assert [text for _, text in heard(Deaf(), spoken("compare them"), quiet(3.5))] == ["compare them"]
