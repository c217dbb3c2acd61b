"""Deepgram's Flux: recognition that knows when a turn is over, and says so before it is sure.

It ends the turns by itself (use the endpointer `GivenEnd`); `end` forces one. It needs the sound of the pauses too, and
is sent that of a turn from its first voice to its end. Flux has no KeepAlive and nothing is paid for silence here: a
line that Deepgram has closed meanwhile is opened again when the caller speaks, and the sound until then is sent after.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from voice import deepgram
from voice.check import Check
from voice.deepgram import Account
from voice.leg import RATE
from voice.provider_error import Cause, ProviderError
from voice.stt.deepgram import checked_keyterms, kind_of, number
from voice.stt.deepgram_line import DeepgramStream, key_terms
from voice.stt.deepgram_speeches import FluxSpeeches, TurnNews
from voice.stt.recognizer import Hearing, Hints

if TYPE_CHECKING:
    from deepgram.listen.v2.socket_client import AsyncV2SocketClient

log = logging.getLogger("sottovoce.deepgram")

_EVENTS = frozenset({"StartOfTurn", "Update", "EagerEndOfTurn", "TurnResumed", "EndOfTurn"})


class DeepgramFlux:
    """The provider. `eot_threshold` (0.5 to 1): how sure it must be that a turn is over; 1: only `end` ends one.

    `eager_eot_threshold` (0.3 to 0.9, not over the former): from when on it announces the end, None: never. Lower is
    sooner, and more often in vain: each announcement may cost a reply that is begun and dropped. `eot_timeout_ms` (500
    to 60000): silence that ends a turn in any case. Without them Deepgram's own values hold: 0.7, and 5000. `keyterms`
    and the rest: see `Deepgram`. Raises ValueError for what cannot be.
    """

    name = "deepgram-flux"
    remote = True
    endpoints = True
    fits_grammar = False

    def __init__(
        self,
        model: str = "flux-general-en",
        *,
        eot_threshold: float | None = None,
        eager_eot_threshold: float | None = 0.5,
        eot_timeout_ms: int | None = None,
        keyterms: Sequence[str] = (),
        api_key: str | None = None,
        base_url: str | None = None,
    ) -> None:
        if model not in ("flux-general-en", "flux-general-multi"):
            raise ValueError(f'model must be "flux-general-en" or "flux-general-multi", not {model!r}')
        if eot_threshold is not None and not 0.5 <= eot_threshold <= 1.0:
            raise ValueError(f"eot_threshold must be from 0.5 to 1, not {eot_threshold!r}")
        if eager_eot_threshold is not None and not 0.3 <= eager_eot_threshold <= min(eot_threshold or 0.7, 0.9):
            raise ValueError(
                f"eager_eot_threshold must be from 0.3 to 0.9 and not over eot_threshold, not {eager_eot_threshold!r}"
            )
        if eot_timeout_ms is not None and not (isinstance(eot_timeout_ms, int) and 500 <= eot_timeout_ms <= 60_000):
            raise ValueError(f"eot_timeout_ms must be milliseconds from 500 to 60000, not {eot_timeout_ms!r}")
        self.model = model
        self._options: dict[str, Any] = {
            "eot_threshold": eot_threshold,
            "eager_eot_threshold": eager_eot_threshold,
            "eot_timeout_ms": eot_timeout_ms,
        }
        self._keyterms = checked_keyterms(keyterms)
        self._account = Account(api_key, base_url)

    def __repr__(self) -> str:
        return f"DeepgramFlux(model={self.model!r}, base_url={self._account.base_url!r})"

    async def prepare(self) -> None:
        """Import the SDK, in a thread (0.7 s). Raises ProviderError without it, or without a key."""
        await self._account.prepare(self.name)

    def stream(self, hints: Hints) -> FluxStream:
        """A new caller's recogniser; its connection is opened at once, in the running loop."""
        return FluxStream(self, hints)

    @classmethod
    def check(cls) -> Check:
        """Whether the SDK and a key are there."""
        return deepgram.check(cls.name, "Deepgram's Flux")

    def keyterms(self, hints: Hints) -> tuple[str, ...]:
        """Those of `hints`, after its own."""
        return key_terms(self._keyterms, hints.phrases)

    def connect(self, keyterms: Sequence[str]) -> AbstractAsyncContextManager[AsyncV2SocketClient]:
        """A connection, to be entered."""
        options = {name: value for name, value in self._options.items() if value is not None}
        if keyterms:
            options["keyterm"] = list(keyterms)
        listen = self._account.client(self.name).listen
        connection: AbstractAsyncContextManager[AsyncV2SocketClient]
        connection = listen.v2.connect(model=self.model, encoding="linear16", sample_rate=RATE, **options)
        return connection


class FluxStream(DeepgramStream):
    """See `DeepgramStream`."""

    _speeches: FluxSpeeches

    def __init__(self, provider: DeepgramFlux, hints: Hints) -> None:
        super().__init__(provider, FluxSpeeches(provider.keyterms(hints)), None)

    def read(self, message: Any) -> list[Hearing]:
        """See `DeepgramStream.read`."""
        match kind_of(message):
            case "TurnInfo" if getattr(message, "event", None) in _EVENTS:
                return self._speeches.hear(_news(message))
            case "Error":
                code, description = getattr(message, "code", ""), getattr(message, "description", "")
                raise ProviderError(DeepgramFlux.name, Cause.ANSWER, f"{code}: {description}")
            case "ConfigureFailure":
                log.warning("%s: key terms were refused: %s", DeepgramFlux.name, getattr(message, "code", ""))
        return []

    async def conclude(self, socket: AsyncV2SocketClient) -> None:
        """See `DeepgramStream.conclude`."""
        await socket.send_force_end_turn()

    async def configure(self, socket: AsyncV2SocketClient, keyterms: tuple[str, ...]) -> None:
        """See `DeepgramStream.configure`."""
        await socket.send_configure({"type": "Configure", "keyterms": list(keyterms)})

    async def keep(self, socket: AsyncV2SocketClient) -> None:
        """Flux has nothing for that."""


def _news(message: Any) -> TurnNews:
    """A TurnInfo message. Raises ValueError for one that makes no sense."""
    text = getattr(message, "transcript", None)
    if not isinstance(text, str):
        raise ValueError("TurnInfo without a transcript")
    words = getattr(message, "words", None) or ()
    return TurnNews(
        message.event,
        int(number(getattr(message, "turn_index", None))),
        text.strip(),
        tuple(number(getattr(word, "confidence", None), 1.0) for word in words),
        number(getattr(message, "audio_window_end", None)),
    )
