"""The callers, as a speech-to-speech model hears them: whose sound it is given, and whose words those are that it says.

Our own ear decides what a voice is: it pauses us at once, and finds backchannels and noises. The words are the model's.
Words that come when the ear waits for none (a voice too soft for it, or given up too soon) are a turn of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from voice.backchannels import is_backchannel, words
from voice.events import (
    Deafened,
    Dropped,
    Event,
    Left,
    SpeechStarted,
    Turn,
    TurnDropped,
    TurnEnded,
)
from voice.realtime.hearing import ModelEnd, ModelHearing
from voice.realtime.microphone import Microphone


class Callers:
    """Of one channel. `tell` takes events; `answers` says whether a mere "yeah" would be an answer now, `heard` whether
    there is a model that hears: one that is being reached again is told the turn that is under way, if that lasts."""

    def __init__(
        self,
        name: str,
        push: Callable[[bytes], None],
        tell: Callable[[Event], None],
        new_id: Callable[[], str],
        answers: Callable[[], bool],
        heard: Callable[[], bool],
    ) -> None:
        self._name = name
        self._tell = tell
        self._new_id = new_id
        self._answers = answers
        self._heard = heard
        self._hearings: dict[str, ModelHearing] = {}
        self.microphone = Microphone(push)

    def hearing(self, caller: str) -> tuple[ModelHearing, ModelEnd]:
        """What stands for a recogniser and an endpointer at this caller's ear."""
        hearing = self._hearings[caller] = ModelHearing(self._name)

        def noticed() -> bool:
            return hearing.noticed or self.microphone.holder != caller or not self._heard()

        return hearing, ModelEnd(noticed)

    def follow(self, event: Event) -> None:
        """A caller did something."""
        match event:
            case SpeechStarted(caller):
                self.microphone.begin(caller)
            case TurnEnded(turn):
                self.microphone.end(turn.caller)
            case TurnDropped(caller):
                self.microphone.end(caller)
            case Left(caller):
                self.microphone.leave(caller)
                self._hearings.pop(caller, None)
            case Deafened(caller):
                self.microphone.leave(caller)
            case _:
                pass

    def notice(self) -> None:
        """The model hears somebody speak."""
        if hearing := self._hearings.get(self.microphone.holder or ""):
            hearing.notice()

    def understand(self, text: str, *, final: bool) -> None:
        """The model understood this."""
        caller = self.microphone.holder or ""
        hearing = self._hearings.get(caller)
        if hearing is None:
            return
        hearing.notice()
        stream = hearing.latest
        if stream is not None and stream.listening:
            stream.understand(text, final=final)
        elif final and words(text):
            given = "" if stream is None else stream.given
            if words(given) != words(text):
                self._tell(self._late(caller, text.strip()))

    def _late(self, caller: str, text: str) -> Event:
        """Words for which nobody waited."""
        if is_backchannel(text) and not self._answers():
            return TurnDropped(caller, Dropped.BACKCHANNEL, text)
        now = asyncio.get_running_loop().time()
        return TurnEnded(Turn(self._new_id(), caller, text, now, now))
