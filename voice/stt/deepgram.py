"""Deepgram's nova: recognition over a WebSocket, while the caller speaks; the ear and its endpointer end the turns.

A caller costs one connection, opened with the stream and kept with KeepAlive while nobody speaks: only the sound of
speech is sent, and paid for. Where a connection breaks off, what Deepgram has not settled is sent again on the next.

Partials are never marked as complete. What Deepgram offers for that is the end of a pause (speech_final), which the
voice activity detector knows before, and a full stop, which nova writes at the end of whatever it settles: "I would
like a. Pizza." A turn model, or Flux, knows better.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from voice import deepgram
from voice.check import Check
from voice.deepgram import Account
from voice.leg import RATE
from voice.provider_error import Cause, ProviderError
from voice.stt.deepgram_line import DeepgramStream, key_terms
from voice.stt.deepgram_speeches import NovaSpeeches, Segment, Word
from voice.stt.recognizer import Hearing, Hints

if TYPE_CHECKING:
    from deepgram.listen.v1.socket_client import AsyncV1SocketClient

log = logging.getLogger("sottovoce.deepgram")

KEEP_ALIVE = 4.0
"""Seconds; Deepgram closes what is idle for 10 and advises 3 to 5 (developers.deepgram.com/docs/keep-alive)."""
_MODEL = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}", re.IGNORECASE)
_LANGUAGE = re.compile(r"multi|[a-z]{2,3}(-[a-z0-9]{2,8})*", re.IGNORECASE)


class Deepgram:
    """The provider. `language`: as Deepgram calls it ("en", "de", "multi"); None is its default, English.

    `endpointing`: milliseconds of silence after which a segment is settled (it ends no turn), None: not by silence.
    `smart_format` writes numbers, dates and the like as they are read, which can delay results. `keyterms` are words
    and names to be listened for, before those of the hints; nova-3 only, 100 at most, what is over is left out.
    `keep_alive`: seconds between messages on an idle line. `api_key` and `base_url`: see `voice.deepgram.Account`.
    Raises ValueError for what cannot be.
    """

    name = "deepgram"
    remote = True
    endpoints = False
    fits_grammar = False

    def __init__(
        self,
        model: str = "nova-3",
        language: str | None = None,
        *,
        endpointing: int | None = 300,
        punctuate: bool = True,
        smart_format: bool = False,
        keyterms: Sequence[str] = (),
        keep_alive: float = KEEP_ALIVE,
        api_key: str | None = None,
        base_url: str | None = None,
    ) -> None:
        if not _MODEL.fullmatch(model):
            raise ValueError(f'model must be a name like "nova-3", not {model!r}')
        if language is not None and not _LANGUAGE.fullmatch(language):
            raise ValueError(f'language must be a code like "en-US", or "multi", not {language!r}')
        if endpointing is not None and not (_whole(endpointing) and 10 <= endpointing <= 10_000):
            raise ValueError(f"endpointing must be milliseconds from 10 to 10000, or None, not {endpointing!r}")
        if not 1 <= keep_alive <= 8:
            raise ValueError(f"keep_alive must be seconds from 1 to 8, not {keep_alive!r}")
        self.model, self.language, self.endpointing, self.keep_alive = model, language, endpointing, keep_alive
        self._format = {"punctuate": str(punctuate).lower(), "smart_format": str(smart_format).lower()}
        self._keyterms = checked_keyterms(keyterms)
        self._account = Account(api_key, base_url)

    def __repr__(self) -> str:
        return f"Deepgram(model={self.model!r}, language={self.language!r}, base_url={self._account.base_url!r})"

    async def prepare(self) -> None:
        """Import the SDK, in a thread (0.7 s). Raises ProviderError without it, or without a key."""
        await self._account.prepare(self.name)

    def stream(self, hints: Hints) -> NovaStream:
        """A new caller's recogniser; its connection is opened at once, in the running loop."""
        return NovaStream(self, hints)

    @classmethod
    def check(cls) -> Check:
        """Whether the SDK and a key are there."""
        return deepgram.check(cls.name, "Deepgram's nova")

    @property
    def configurable(self) -> bool:
        """Key terms exist, and can be changed while connected."""
        return self.model.startswith("nova-3")

    def keyterms(self, hints: Hints) -> tuple[str, ...]:
        """Those of `hints`, after its own."""
        return key_terms(self._keyterms, hints.phrases) if self.configurable else ()

    def connect(self, keyterms: Sequence[str]) -> AbstractAsyncContextManager[AsyncV1SocketClient]:
        """A connection, to be entered."""
        options: dict[str, Any] = dict(self._format)
        if self.language is not None:
            options["language"] = self.language
        if keyterms:
            options["keyterm"] = list(keyterms)
        connection: AbstractAsyncContextManager[AsyncV1SocketClient]
        connection = self._account.client(self.name).listen.v1.connect(
            model=self.model,
            encoding="linear16",
            sample_rate=RATE,
            channels=1,
            interim_results="true",
            endpointing="false" if self.endpointing is None else self.endpointing,
            **options,
        )
        return connection


class NovaStream(DeepgramStream):
    """See `DeepgramStream`."""

    _speeches: NovaSpeeches

    def __init__(self, provider: Deepgram, hints: Hints) -> None:
        speeches = NovaSpeeches(provider.keyterms(hints), configurable=provider.configurable)
        super().__init__(provider, speeches, provider.keep_alive)

    def read(self, message: Any) -> list[Hearing]:
        """See `DeepgramStream.read`."""
        match kind_of(message):
            case "Results":
                return self._speeches.hear(_segment(message))
            case "Error":
                raise ProviderError(Deepgram.name, Cause.ANSWER, str(getattr(message, "description", "")))
            case "ConfigureFailure":
                log.warning("%s: key terms were refused: %s", Deepgram.name, getattr(message, "code", ""))
        return []

    async def conclude(self, socket: AsyncV1SocketClient) -> None:
        """See `DeepgramStream.conclude`."""
        await socket.send_finalize()

    async def configure(self, socket: AsyncV1SocketClient, keyterms: tuple[str, ...]) -> None:
        """See `DeepgramStream.configure`."""
        from deepgram.listen.v1.types.listen_v1configure import ListenV1Configure

        await socket.send_configure(ListenV1Configure(keyterms=list(keyterms)))

    async def keep(self, socket: AsyncV1SocketClient) -> None:
        """See `DeepgramStream.keep`."""
        await socket.send_keep_alive()


def kind_of(message: Any) -> str:
    """The type of a message. Raises ValueError for what is none: the SDK checks nothing."""
    kind = message.get("type") if isinstance(message, dict) else getattr(message, "type", None)
    if not isinstance(kind, str):
        raise ValueError("a message without a type")
    return kind


def number(value: object, default: float | None = None) -> float:
    """A number of a message. Raises ValueError for anything else, unless there is a `default`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9:
        return float(value)
    if default is None:
        raise ValueError("a number is missing")
    return default


def checked_keyterms(keyterms: Sequence[str]) -> tuple[str, ...]:
    """Raises ValueError for what are no key terms."""
    if isinstance(keyterms, str) or not all(isinstance(term, str) and term.strip() for term in keyterms):
        raise ValueError("keyterms must be words or short phrases: ('sottovoce', 'Rome')")
    return tuple(keyterms)


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _segment(message: Any) -> Segment:
    """A Results message. Raises ValueError for one that makes no sense."""
    alternatives = getattr(getattr(message, "channel", None), "alternatives", None)
    if not isinstance(alternatives, list) or not alternatives:
        raise ValueError("Results without alternatives")
    best = alternatives[0]
    text = getattr(best, "transcript", None)
    if not isinstance(text, str):
        raise ValueError("Results without a transcript")
    start = number(getattr(message, "start", None))
    return Segment(
        text.strip(),
        number(getattr(best, "confidence", None), 1.0),
        tuple(_word(word) for word in getattr(best, "words", None) or ()),
        start,
        start + number(getattr(message, "duration", None)),
        getattr(message, "is_final", None) is True,
        getattr(message, "from_finalize", None) is True,
    )


def _word(word: Any) -> Word:
    text = getattr(word, "punctuated_word", None) or getattr(word, "word", None)
    if not isinstance(text, str):
        raise ValueError("a word without a text")
    start, end = number(getattr(word, "start", None)), number(getattr(word, "end", None))
    return Word(text, number(getattr(word, "confidence", None), 1.0), start, end)
