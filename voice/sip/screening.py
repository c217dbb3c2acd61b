"""What a request is refused for before anybody looks what it wants: cheap, and the same for strangers and friends.

RFC 3261 section 8.2, in its order.
"""

from __future__ import annotations

from dataclasses import dataclass

from voice.sip.malformed import Malformed
from voice.sip.message import Request
from voice.sip.sdp import TYPE

METHODS = ("INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "UPDATE", "INFO", "NOTIFY")
KNOWN = frozenset({*METHODS, "PRACK", "REFER", "REGISTER", "SUBSCRIBE", "MESSAGE", "PUBLISH"})
"""Methods that there are; others are 501, those not in METHODS 405."""
EXTENSIONS = ("timer",)
"""Extensions that a request may require of us."""
_ANY = frozenset({TYPE, "application/*", "*/*"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is answered."""

    status: int
    reason: str
    fields: tuple[tuple[str, str], ...] = ()


def refusal(
    request: Request, methods: tuple[str, ...] = METHODS, extensions: tuple[str, ...] = EXTENSIONS
) -> Refusal | None:
    """Why it is refused; None: it is not. An ACK or CANCEL is never refused for an extension (section 8.2.2.3)."""
    try:
        return _refusal(request, methods, extensions)
    except Malformed as malformed:
        return Refusal(malformed.status, "Bad Request")


def _refusal(request: Request, methods: tuple[str, ...], extensions: tuple[str, ...]) -> Refusal | None:
    allowed = ("allow", ", ".join(methods))
    if request.method not in methods and request.method not in KNOWN:
        return Refusal(501, "Not Implemented", (allowed,))
    if not request.uri.known:
        return Refusal(416, "Unsupported URI Scheme")
    request.contact()
    if request.method not in ("ACK", "CANCEL"):
        strange = [name for name in request.headers.items("require") if name.lower() not in extensions]
        if strange:
            return Refusal(420, "Bad Extension", (("unsupported", ", ".join(strange)),))
    if request.method not in methods:
        return Refusal(405, "Method Not Allowed", (allowed,))
    if request.method in ("INVITE", "UPDATE", "ACK"):
        return _body(request)
    return None


def _body(request: Request) -> Refusal | None:
    """Whether we can read what it brings, and it what we would answer."""
    kind = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if request.body and kind != TYPE:
        return Refusal(415, "Unsupported Media Type", (("accept", TYPE),))
    if request.body and request.headers.get("content-encoding") not in (None, "", "identity"):
        return Refusal(415, "Unsupported Media Type", (("accept-encoding", "identity"),))
    takes = [item.partition(";")[0].strip().lower() for item in request.headers.items("accept")]
    if takes and not _ANY.intersection(takes):
        return Refusal(406, "Not Acceptable")
    return None
