"""Deepgram's recognition over WebSockets: /v1/listen (nova) and /v2/listen (Flux), as its API reference describes them.

What they hear is up to an `Ear` (`tests.fakes.hearing`). Both close a connection that is sent nothing for `idle`
seconds: 1011 with NET-0001.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from typing import Any

from tests.fakes.deepgram import Peer, Query
from tests.fakes.faults import Faults
from tests.fakes.hearing import Ear, MakeEar, Word
from voice.leg import FRAME_BYTES

CONFIDENCE = 0.97
IDLE = 10.0
TIMED_OUT = (1011, "NET-0001: did not receive audio data or a text message within the timeout window")
NOTICEABLE = 0.1
"""Seconds of sound that must be left for Finalize to be answered: "noticeable", as the service says."""
_MODELS = ("nova-2", "nova-3")


class Listen:
    """What both have in common. `opened`: connections so far. `sound`: bytes of each, oldest first. `controls`: the
    messages that were no sound, of all. `ignored`: so many requests to end a speech get no answer."""

    path = ""

    def __init__(self, make_ear: MakeEar, *, idle: float = IDLE) -> None:
        self.faults = Faults()
        self.opened = 0
        self.ignored = 0
        self.sound: list[int] = []
        self.controls: list[dict[str, Any]] = []
        self._make_ear = make_ear
        self.idle = idle

    def refusal(self, query: Query) -> str:
        if query.get("encoding") != ["linear16"] or query.get("sample_rate") != ["16000"]:
            return "Raw audio needs encoding and sample_rate (this ear: linear16, 16000)."
        return "" if query.get("model") else "model is missing."

    async def serve(self, peer: Peer, query: Query) -> None:
        ear = self._make_ear()
        number = len(self.sound)
        self.sound.append(0)
        try:
            line = self.line(peer, query, ear)
            await line.open()
            while True:
                try:
                    message = await peer.receive(self.idle)
                except TimeoutError:
                    await peer.close(*TIMED_OUT)
                    return
                if message == b"":  # the old way to say CloseStream
                    return
                if isinstance(message, bytes):
                    self.sound[number] += len(message)
                    for piece in _pieces(message):
                        ear.push(piece)
                        await line.listen()
                    continue
                control = json.loads(message)
                self.controls.append(control)
                if not await line.control(control):
                    return
        finally:
            await ear.aclose()

    def line(self, peer: Peer, query: Query, ear: Ear) -> Line:
        raise NotImplementedError

    def ignore(self) -> bool:
        """Whether this request to end a speech gets no answer."""
        if self.ignored:
            self.ignored -= 1
            return True
        return False

    def count(self, kind: str) -> int:
        """How many control messages of this type have come."""
        return sum(control.get("type") == kind for control in self.controls)


class Line:
    """One connection's state."""

    async def open(self) -> None: ...

    async def listen(self) -> None:
        """There is more sound."""
        raise NotImplementedError

    async def control(self, control: dict[str, Any]) -> bool:
        """A control message; False: the connection is over."""
        raise NotImplementedError


class FakeListen(Listen):
    """/v1/listen. `interim`: seconds of sound between interim results. `segment`: a segment of speech is final after so
    much, at the end of a word."""

    path = "/v1/listen"

    def __init__(self, make_ear: MakeEar, *, interim: float = 0.2, segment: float = 3.0, idle: float = IDLE) -> None:
        super().__init__(make_ear, idle=idle)
        self.interim, self.segment = interim, segment

    def refusal(self, query: Query) -> str:
        if query.get("model", [""])[0].split("-general")[0] not in _MODELS:
            return "No such model/language/tier combination found."
        return super().refusal(query)

    def line(self, peer: Peer, query: Query, ear: Ear) -> Line:
        return _Nova(self, peer, query, ear)


class _Nova(Line):
    def __init__(self, server: FakeListen, peer: Peer, query: Query, ear: Ear) -> None:
        self._server, self._peer, self._ear = server, peer, ear
        self._start = self._told = 0.0
        wait = query.get("endpointing", ["10"])[0]
        self._endpointing = float(wait) / 1000 if wait.isdigit() else float("inf")
        self._writes = query.get("punctuate") == ["true"]
        self._interims = query.get("interim_results") == ["true"]
        self._takes_terms = query["model"][0].startswith("nova-3")
        self._request = str(uuid.uuid4())

    async def listen(self) -> None:
        ear = self._ear
        words = await ear.words()
        if words and ear.silent >= self._endpointing:
            await self._settle(ear.heard, speech_final=True)
        elif words and ear.heard - self._start >= self._server.segment:
            await self._settle(words[-1].end)
        elif self._interims and ear.heard - self._told >= self._server.interim:
            await self._tell(words, ear.heard, is_final=False)

    async def control(self, control: dict[str, Any]) -> bool:
        match control:
            case {"type": "KeepAlive"}:
                pass
            case {"type": "Finalize"}:
                if not self._server.ignore() and self._ear.heard - self._start >= NOTICEABLE:
                    await self._settle(self._ear.heard, speech_final=True, from_finalize=True)
            case {"type": "Configure", "keyterms": terms} if self._takes_terms:
                await self._peer.send({"type": "ConfigureSuccess", "request_id": self._request, "keyterms": terms})
            case {"type": "Configure"}:
                refused = {"code": "CONFIGURE_KEYTERMS_NOT_SUPPORTED", "description": "it takes nova-3"}
                await self._peer.send({"type": "ConfigureFailure", "request_id": self._request, **refused})
            case {"type": "CloseStream"}:
                await self._settle(self._ear.heard, speech_final=True)
                await self._peer.send(
                    {
                        "type": "Metadata",
                        "transaction_key": "deprecated",
                        "request_id": self._request,
                        "sha256": "",
                        "created": "2026-01-01T00:00:00.000Z",
                        "duration": self._ear.heard,
                        "channels": 1,
                    }
                )
                return False
            case _:
                await self._peer.send(
                    {"type": "Error", "variant": "SchemaError", "description": "no such message", "message": ""}
                )
        return True

    async def _settle(self, end: float, *, speech_final: bool = False, from_finalize: bool = False) -> None:
        words = await self._ear.words(settle=True)
        await self._tell(words, end, is_final=True, speech_final=speech_final, from_finalize=from_finalize)
        self._start = end

    async def _tell(
        self,
        words: list[Word],
        end: float,
        *,
        is_final: bool,
        speech_final: bool = False,
        from_finalize: bool = False,
    ) -> None:
        self._told = self._ear.heard
        written = _written(words, whole=is_final) if self._writes else [word.text for word in words]
        alternative = {
            "transcript": " ".join(written),
            "confidence": CONFIDENCE if words else 0.0,
            "words": [
                {**_word(word), "punctuated_word": text} if self._writes else _word(word)
                for word, text in zip(words, written, strict=True)
            ],
        }
        await self._peer.send(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "duration": round(end - self._start, 3),
                "start": round(self._start, 3),
                "is_final": is_final,
                "speech_final": speech_final,
                "from_finalize": from_finalize,
                "channel": {"alternatives": [alternative]},
                "metadata": {
                    "request_id": self._request,
                    "model_info": {"name": "general-nova-3", "version": "2026-01-01.0", "arch": "nova-3"},
                    "model_uuid": self._request,
                },
            }
        )


class FakeFlux(Listen):
    """/v2/listen. `eager` and `over`: seconds of silence after words that are an eager end, and an end of turn."""

    path = "/v2/listen"

    def __init__(self, make_ear: MakeEar, *, eager: float = 0.2, over: float = 0.5, idle: float = IDLE) -> None:
        super().__init__(make_ear, idle=idle)
        self.eager, self.over = eager, over

    def refusal(self, query: Query) -> str:
        if query.get("model", [""])[0] not in ("flux-general-en", "flux-general-multi"):
            return "model: use flux-general-en or flux-general-multi."
        return super().refusal(query)

    def line(self, peer: Peer, query: Query, ear: Ear) -> Line:
        return _Flux(self, peer, query, ear)


class _Flux(Line):
    def __init__(self, server: FakeFlux, peer: Peer, query: Query, ear: Ear) -> None:
        self._server, self._peer, self._ear = server, peer, ear
        self._eager_wanted = "eager_eot_threshold" in query
        self._request = str(uuid.uuid4())
        self._sequence = self._turn = 0
        self._start = self._told = 0.0
        self._speaking = self._eager = False
        self._text = ""

    async def open(self) -> None:
        await self._send({"type": "Connected"})

    async def listen(self) -> None:
        words = await self._ear.words()
        text = " ".join(_written(words, whole=True))
        silent = self._ear.silent
        if words and not self._speaking:
            self._speaking = True
            await self._tell("StartOfTurn", words)
        elif self._eager and text != self._text:
            self._eager = False
            await self._tell("TurnResumed", words)
        elif self._speaking and silent >= self._server.over:
            await self._end("model")
        elif self._speaking and self._eager_wanted and not self._eager and silent >= self._server.eager:
            self._eager, self._text = True, text
            await self._tell("EagerEndOfTurn", words)
        elif self._ear.heard - self._told >= 0.25:
            await self._tell("Update", words)

    async def control(self, control: dict[str, Any]) -> bool:
        match control:
            case {"type": "ForceEndTurn"}:
                if self._speaking and not self._server.ignore():
                    await self._end("manual")
                return True
            case {"type": "Configure"}:
                terms = control.get("keyterms") or []
                await self._send({"type": "ConfigureSuccess", "thresholds": {}, "keyterms": terms})
                return True
            case {"type": "CloseStream"}:
                return False
        error = {"type": "Error", "code": "UNPARSABLE_CLIENT_MESSAGE", "description": "no such message"}
        await self._send(error)
        await self._peer.close(1011, "UNPARSABLE_CLIENT_MESSAGE")
        return False

    async def _end(self, trigger: str) -> None:
        words = await self._ear.words(settle=True)
        await self._tell("EndOfTurn", words, trigger=trigger)
        self._turn += 1
        self._start = self._ear.heard
        self._speaking = self._eager = False

    async def _tell(self, event: str, words: list[Word], **more: Any) -> None:
        self._told = self._ear.heard
        written = _written(words, whole=True)
        await self._send(
            {
                "type": "TurnInfo",
                "event": event,
                "turn_index": self._turn,
                "audio_window_start": round(self._start, 3),
                "audio_window_end": round(self._ear.heard, 3),
                "transcript": " ".join(written),
                "words": [{**_word(word), "word": text} for word, text in zip(words, written, strict=True)],
                "end_of_turn_confidence": 0.9 if event == "EndOfTurn" else 0.1,
                **more,
            }
        )

    async def _send(self, message: dict[str, Any]) -> None:
        await self._peer.send({**message, "request_id": self._request, "sequence_id": self._sequence})
        self._sequence += 1


def _pieces(pcm: bytes) -> Iterator[bytes]:
    for at in range(0, len(pcm), FRAME_BYTES):
        yield pcm[at : at + FRAME_BYTES]


def _word(word: Word) -> dict[str, Any]:
    start, end = round(word.start, 3), round(word.end, 3)
    return {"word": word.text, "start": start, "end": end, "confidence": CONFIDENCE}


def _written(words: list[Word], *, whole: bool) -> list[str]:
    """As a sentence is written."""
    texts = [word.text for word in words]
    if texts:
        texts[0] = texts[0].capitalize()
        texts[-1] += "." if whole else ""
    return texts


async def main(port_seconds: float = 3600.0) -> None:
    """Both, on a free port, hearing PocketSphinx's guesses: to try things by hand."""
    from tests.fakes.deepgram import FakeDeepgram
    from tests.fakes.hearing import Sphinx
    from voice.stt.pocketsphinx import Pocketsphinx
    from voice.stt.recognizer import Hints

    provider = Pocketsphinx()
    await provider.prepare()

    def ear() -> Ear:
        return Sphinx(provider, Hints())

    async with FakeDeepgram(FakeListen(ear), FakeFlux(ear)) as fake:
        print(f"DEEPGRAM_BASE_URL={fake.url} DEEPGRAM_API_KEY={fake.key}", flush=True)
        await asyncio.sleep(port_seconds)


if __name__ == "__main__":
    asyncio.run(main())
