"""Offer and answer (RFC 3264): which of the sound that somebody offers is exchanged, and how; or not at all (488).

Payload types are the offerer's, one codec is agreed, keys (RFC 4733) beside it. Who holds us does not hear; hold is
told by the direction or, as of old, by the address 0.0.0.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

from voice.sip.malformed import Malformed
from voice.sip.sdp import DTMF, G722, KEY_BYTES, OPUS, PCMA, PCMU, Codec, Crypto, Description, Direction, Format, Media

CODECS = (G722, PCMU, PCMA)
"""What we speak unless told otherwise, best first: wide-band sound is understood better."""
DYNAMIC = 96
"""The first payload type that may mean anything."""
_UNBOUND = frozenset({"0.0.0.0", "::"})  # noqa: S104 - read, not listened on


class Secrecy(Enum):
    """Whether sound is encrypted."""

    NEVER = auto()
    IF_OFFERED = auto()
    ALWAYS = auto()


@dataclass(frozen=True, slots=True)
class Place:
    """Our end: where we receive, what we speak, and a key for what we send if it is encrypted (`new_key` bytes)."""

    host: str
    port: int
    codecs: Sequence[Codec] = CODECS
    secrecy: Secrecy = Secrecy.IF_OFFERED
    new_key: Callable[[int], bytes] | None = None
    """Random bytes, from the driver; None: we have no SRTP."""

    @property
    def secrecy_possible(self) -> bool:
        return self.new_key is not None and self.secrecy is not Secrecy.NEVER


@dataclass(frozen=True, slots=True)
class Agreed:
    """What was agreed for the one stream of sound."""

    host: str
    port: int
    """Where the other end receives."""
    format: Format
    keys: int | None
    """Payload type of telephone events; None: they cannot come this way."""
    direction: Direction
    """From our side."""
    ours: Crypto | None = None
    theirs: Crypto | None = None
    rtcp_mux: bool = False

    @property
    def hears(self) -> bool:
        """The other end listens: it does not hold us."""
        return self.direction.sends and self.host not in _UNBOUND and self.port != 0


def answer(offer: Description, place: Place, session: str, version: str) -> tuple[Description, Agreed]:
    """Our answer to an offer, and what it agrees on. Raises Malformed with status 488 when nothing fits."""
    for index, media in enumerate(offer.media):
        if found := _fitting(media, place):
            ours, agreed = found
            streams = [ours if at == index else _declined(each) for at, each in enumerate(offer.media)]
            return Description(tuple(streams), session, version, place.host), agreed
    raise Malformed(_why(offer, place), 488)


def offered(place: Place, session: str, version: str, direction: Direction = Direction.BOTH) -> Description:
    """Our offer: all that we speak. With `Secrecy.ALWAYS` it takes encrypted sound only."""
    formats, payload = [], DYNAMIC
    for codec in place.codecs:
        if (fixed := _FIXED.get(codec)) is None:
            fixed, payload = payload, payload + 1
        formats.append(Format(fixed, codec))
    for rate in dict.fromkeys(codec.rate for codec in place.codecs):
        formats.append(Format(payload, Codec(DTMF, rate), "0-15"))
        payload += 1
    secret = place.secrecy is Secrecy.ALWAYS
    if secret and place.new_key is None:
        raise ValueError("secrecy: encrypted sound needs SRTP; install sottovoce[srtp]")
    crypto = tuple(Crypto(n, s, _key(place, s)) for n, s in enumerate(KEY_BYTES, 1)) if secret else ()
    names = tuple(str(each.payload) for each in formats)
    protocol = "RTP/SAVP" if secret else "RTP/AVP"
    media = Media("audio", place.port, protocol, names, tuple(formats), place.host, direction, crypto)
    return Description((media,), session, version, place.host)


def settled(offer: Description, answer: Description) -> Agreed:
    """What the answer to our offer agrees on. Raises Malformed with status 488 when that is nothing."""
    ours = offer.media[0]
    if len(answer.media) != len(offer.media):
        raise Malformed("the answer has not the streams of the offer", 488)
    theirs = answer.media[0]
    if theirs.kind != ours.kind or not theirs.port or theirs.protocol != ours.protocol or not theirs.host:
        raise Malformed("the answer takes none of what was offered", 488)
    known = {each.payload: each.codec for each in ours.formats}
    format = next((f for f in theirs.formats if known.get(f.payload) == f.codec and f.codec.name != DTMF), None)
    if format is None:
        raise Malformed("the answer has no codec of the offer", 488)
    crypto = next(((mine, back) for back in theirs.crypto for mine in ours.crypto if _same(mine, back)), None)
    if ours.crypto and crypto is None:
        raise Malformed("the answer has no key", 488)
    direction = _allowed(ours.direction, theirs.direction.reversed)
    mine, back = crypto or (None, None)
    keys = _keys(theirs, format)
    payload = keys.payload if keys else None
    return Agreed(theirs.host, theirs.port, format, payload, direction, mine, back, theirs.rtcp_mux)


_FIXED = {PCMU: 0, PCMA: 8, G722: 9}


def _fitting(media: Media, place: Place) -> tuple[Media, Agreed] | None:
    """Our answer to one stream, if it can be exchanged."""
    format = next((found for codec in place.codecs if (found := media.find(codec))), None)
    if media.kind != "audio" or not media.port or not media.host or format is None:
        return None
    theirs = media.crypto[0] if media.crypto and place.secrecy_possible else None
    must = "SAVP" in media.protocol or place.secrecy is Secrecy.ALWAYS
    if must and theirs is None:
        return None
    ours = Crypto(theirs.tag, theirs.suite, _key(place, theirs.suite)) if theirs else None
    keys = _keys(media, format)
    formats = (replace(format, options=""), *((replace(keys, options="0-15"),) if keys else ()))
    direction = media.direction.reversed
    reply = Media(
        media.kind,
        place.port,
        media.protocol,
        tuple(str(each.payload) for each in formats),
        formats,
        place.host,
        direction,
        (ours,) if ours else (),
        media.rtcp_mux,
    )
    payload = keys.payload if keys else None
    return reply, Agreed(media.host, media.port, format, payload, direction, ours, theirs, media.rtcp_mux)


def _keys(media: Media, beside: Format) -> Format | None:
    """Telephone events at the clock of the codec; at any, if there are none (some telephones always say 8000)."""
    events = [each for each in media.formats if each.codec.name == DTMF]
    return next((each for each in events if each.codec.rate == beside.codec.rate), events[0] if events else None)


def _declined(media: Media) -> Media:
    return Media(media.kind, 0, media.protocol, media.names)


def _same(mine: Crypto, back: Crypto) -> bool:
    return mine.tag == back.tag and mine.suite == back.suite


def _allowed(ours: Direction, theirs: Direction) -> Direction:
    """What both want of us."""
    match ours.sends and theirs.sends, ours.receives and theirs.receives:
        case True, True:
            return Direction.BOTH
        case True, False:
            return Direction.SEND
        case False, True:
            return Direction.RECEIVE
        case _:
            return Direction.NONE


def _key(place: Place, suite: str) -> bytes:
    assert place.new_key is not None
    return place.new_key(KEY_BYTES[suite])


def _why(offer: Description, place: Place) -> str:
    """Why nothing fits, for the log of whoever runs us and the Warning of the response."""
    audio = [media for media in offer.media if media.kind == "audio" and media.port]
    if not audio:
        return "no sound is offered"
    if not any(media.find(codec) for media in audio for codec in place.codecs):
        known = ", ".join(codec.name for codec in place.codecs)
        return f"none of the codecs offered is known here; these are: {known}"
    return "sound is to be encrypted here, or is not, and the offer has it otherwise"


__all__ = ["CODECS", "OPUS", "Agreed", "Place", "Secrecy", "answer", "offered", "settled"]
