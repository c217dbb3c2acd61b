"""What Deepgram's Voice Agent says, made into the events of the seam, whatever it says and in whatever order.

Sans-I/O. Replies are told apart by `AgentAudioDone`; one begins with its first text or sound, as `AgentStartedSpeaking`
is only sent to some. A line of ours is known by its text, which the server repeats; where sound comes first, by there
being nothing else that it could be saying. What is left of a reply that was cut is dropped until the server is done
with it, or speaks of something newer. Message names and their meaning: Deepgram's Voice Agent API reference, v1.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voice.provider_error import Cause, ProviderError
from voice.realtime.session import (
    CallerSaid,
    CallerStarted,
    FunctionCalled,
    Injection,
    Refused,
    ReplyAudio,
    ReplyEnded,
    ReplyStarted,
    ReplyText,
    SessionEvent,
)

log = logging.getLogger("sottovoce.realtime")

MAX_LINES = 32
"""Injected lines that may wait to be spoken; the oldest is forgotten beyond (it was neither spoken nor refused)."""
MAX_CALLS = 64
"""Functions that may wait for their answers; the oldest is forgotten beyond."""
_CAUSES = {
    "INTERNAL_SERVER_ERROR": Cause.SERVER,
    "CLIENT_MESSAGE_TIMEOUT": Cause.TIMEOUT,
    "UNPARSABLE_CLIENT_MESSAGE": Cause.REQUEST,
    "INVALID_SETTINGS": Cause.REQUEST,
}
_WARNED = ("INJECT_AGENT_MESSAGE_DURING_USER_SPEECH", "INJECT_AGENT_MESSAGE_DURING_AGENT_SPEECH")
"""Warnings that say what `InjectionRefused` says: some get these instead, or both."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A function was called in a way that cannot be understood; `why` is for the model, as its answer."""

    id: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class _Line:
    id: str
    text: str
    how: Injection
    waits: bool
    """Something was being said when it was injected."""


class Talk:
    """One session's. `name` is what errors call the provider; `secrets` are masked in what it says of itself."""

    def __init__(self, name: str, secrets: Sequence[str] = ()) -> None:
        self._name, self._secrets = name, secrets
        self._lines: dict[str, _Line] = {}
        self._count = 0
        self._calls: dict[str, str] = {}
        self._open = False
        """A reply has begun and has not ended."""
        self._line: str | None = None
        self._sounded = False
        """There was sound, or the announcement of it, of the reply that is open."""
        self._left = False
        """What the server says may be left of a reply that was cut."""
        self._left_sounded = False
        self._left_known = False
        """The server knows that it was cut, and makes no more of it."""
        self._stale = False
        """`AgentAudioDone` of a reply that was cut, or replaced, may still come."""
        self._owes = False
        """The server sets to work on a reply of its own."""
        self._half = b""
        self._refusal: str | None = None
        """How a refusal was just told: the other way of telling is then the same refusal again."""

    # what we do

    def inject(self, text: str, how: Injection) -> str:
        """A line is sent; returns its id."""
        self._count += 1
        line = _Line(f"line-{self._count}", _plain(text), how, self._open or self._owes)
        self._lines[line.id] = line
        if len(self._lines) > MAX_LINES:
            forgotten = next(iter(self._lines))
            del self._lines[forgotten]
            log.warning("%s has neither spoken nor refused %s", self._name, forgotten)
        return line.id

    def answered(self, call: str) -> str | None:
        """A function is answered; returns its name, or None where nobody waits for the answer (any more)."""
        name = self._calls.pop(call, None)
        if name is not None:
            self._anew()
        return name

    def cut(self) -> list[SessionEvent]:
        """The caller stopped the reply here; the server need not know."""
        return list(self._cut(known=False))

    # what it says

    def handle(self, message: Any) -> list[SessionEvent | Unusable]:
        """A message of the SDK's, or sound, or what the SDK makes of nonsense. Raises ProviderError for its `Error`."""
        if isinstance(message, bytes):
            return list(self._sound(message))
        kind = getattr(message, "type", None)
        handler = self._HANDLERS.get(kind) if isinstance(kind, str) else None
        if handler is None:
            return []
        events = list(handler(self, message))
        if kind not in ("InjectionRefused", "Warning"):
            self._refusal = None
        return events

    def _caller_started(self, _message: Any) -> Iterator[SessionEvent]:
        self._owes = False
        yield CallerStarted()
        yield from self._cut(known=True)
        for line in [line for line in self._lines.values() if line.how is Injection.QUEUE and line.waits]:
            del self._lines[line.id]  # what was queued behind a reply goes with it
            yield Refused(line.id)

    def _conversation(self, message: Any) -> Iterator[SessionEvent]:
        text = _text(message, "content")
        if not text:
            return
        if getattr(message, "role", None) == "user":
            self._owes, self._left = True, False
            yield CallerSaid(text)
        elif getattr(message, "role", None) == "assistant":
            yield from self._said(text)

    def _said(self, text: str) -> Iterator[SessionEvent]:
        line = self._spoken(text)
        if line is not None:
            if self._open and self._line != line.id:
                self._stale = True
                yield from self._end(cut=line.how is Injection.NOW)
            self._left = False
        if self._left:
            return
        if not self._open:
            yield from self._start(line.id if line else None)
        yield ReplyText(text)

    def _thinking(self, _message: Any) -> Iterator[SessionEvent]:
        self._anew()
        yield from ()

    def _started_speaking(self, _message: Any) -> Iterator[SessionEvent]:
        if self._left and not self._left_sounded:
            self._left_sounded = True  # of the reply that was cut before its first sound
            return
        self._left = False
        yield from self._voice()

    def _sound(self, pcm: bytes) -> Iterator[SessionEvent]:
        if self._left or not pcm:
            return
        yield from self._voice()
        pcm = self._half + pcm
        whole = len(pcm) & ~1
        self._half = pcm[whole:]
        if whole:
            yield ReplyAudio(pcm[:whole])

    def _voice(self) -> Iterator[SessionEvent]:
        """What is heard from now on belongs to a reply."""
        if not self._open:
            yield from self._start(None if self._owes else next(iter(self._lines), None))
        self._sounded, self._stale = True, False

    def _done(self, _message: Any) -> Iterator[SessionEvent]:
        if self._stale and not self._sounded:
            self._stale = self._left = False  # of the reply before
            return
        self._left = self._stale = False
        yield from self._end(cut=False)

    def _called(self, message: Any) -> Iterator[SessionEvent | Unusable]:
        functions = getattr(message, "functions", None)
        for function in functions if isinstance(functions, list) else ():
            if getattr(function, "client_side", None) is False:
                continue  # the server runs it itself
            call, name = _text(function, "id"), _text(function, "name")
            if not call or not name:
                log.warning("%s called a function without saying which", self._name)
                continue
            self._calls[call] = name
            if len(self._calls) > MAX_CALLS:
                del self._calls[next(iter(self._calls))]
            arguments = _arguments(getattr(function, "arguments", None))
            if arguments is None:
                yield Unusable(call, name, "error: the arguments are no JSON object; call it again with one")
            else:
                yield FunctionCalled(call, name, arguments)

    def _cancelled(self, message: Any) -> Iterator[SessionEvent]:
        functions = getattr(message, "functions", None)
        for function in functions if isinstance(functions, list) else ():
            self._calls.pop(_text(function, "id"), None)
        yield from ()

    def _refused(self, message: Any, told: str = "InjectionRefused") -> Iterator[SessionEvent]:
        again = self._refusal is not None and self._refusal != told
        self._refusal = None if again else told
        if again:
            return
        lines = list(self._lines.values())
        line = next((line for line in lines if line.how is Injection.IDLE), lines[0] if lines else None)
        if line is not None:
            del self._lines[line.id]
            yield Refused(line.id)

    def _warned(self, message: Any) -> Iterator[SessionEvent]:
        code = _text(message, "code")
        if code in _WARNED:
            yield from self._refused(message, "Warning")
            return
        self._refusal = None
        said = masked(" ".join(_text(message, "description").split()), self._secrets)
        log.warning("%s warns of %s: %s", self._name, code[:60], said[:300])

    def _failed(self, message: Any) -> Iterator[SessionEvent]:
        code = _text(message, "code")
        cause = _CAUSES.get(code, Cause.RATE if "RATE" in code or "LIMIT" in code else Cause.SERVER)
        fix = "check the settings of the agent" if cause is Cause.REQUEST else ""
        said = masked(f"{code}: {_text(message, 'description')}", self._secrets)
        raise ProviderError(self._name, cause, said, fix=fix)

    # the reply

    def _start(self, line: str | None) -> Iterator[SessionEvent]:
        self._open, self._line, self._sounded, self._half = True, line, False, b""
        if line is None:
            self._owes = False
        else:
            self._lines.pop(line, None)
        yield ReplyStarted(line)

    def _end(self, *, cut: bool) -> Iterator[SessionEvent]:
        if self._open:
            self._open, self._line, self._half = False, None, b""
            yield ReplyEnded(cut)

    def _anew(self) -> None:
        """It sets to work on a reply: what comes now is not of one that it knows was cut."""
        self._owes = True
        if self._left_known:
            self._left = False

    def _cut(self, *, known: bool) -> Iterator[SessionEvent]:
        self._left_known |= known
        if self._open:
            self._left, self._left_sounded, self._left_known, self._stale = True, self._sounded, known, True
            yield from self._end(cut=True)

    def _spoken(self, text: str) -> _Line | None:
        """The line that it speaks, if it is one: the server may give a long one in sentences."""
        plain = _plain(text)
        whole = (line for line in self._lines.values() if line.text == plain)
        begun = (line for line in self._lines.values() if line.text.startswith(plain + " "))
        return next(whole, None) or next(begun, None)

    _HANDLERS: Mapping[str, Any] = {
        "UserStartedSpeaking": _caller_started,
        "ConversationText": _conversation,
        "AgentThinking": _thinking,
        "AgentStartedSpeaking": _started_speaking,
        "AgentAudioDone": _done,
        "FunctionCallRequest": _called,
        "FunctionCallCancelled": _cancelled,
        "InjectionRefused": _refused,
        "Warning": _warned,
        "Error": _failed,
    }


def masked(text: str, secrets: Sequence[str]) -> str:
    """A server may repeat what it was told to send to the language model."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def _text(message: Any, field: str) -> str:
    """A field that should be text, and may be anything: the SDK checks nothing."""
    value = getattr(message, field, None)
    return value if isinstance(value, str) else ""


def _arguments(given: Any) -> dict[str, Any] | None:
    """What is in the JSON of a call; None: it is no object."""
    if given in (None, ""):
        return {}
    try:
        arguments = json.loads(given)
    except (TypeError, ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None
