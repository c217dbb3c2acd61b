"""Session descriptions (RFC 8866): what sound somebody wants to exchange, where, and in which codecs.

Read leniently where telephones differ (line ends, order, what we do not know is passed over), strictly in what we act
on. Keys of SRTP never show in a repr.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from voice.sip.fields import TOKEN
from voice.sip.malformed import Malformed
from voice.sip.uri import number

MAX_BYTES = 16_384
MAX_LINES = 512
MAX_MEDIA = 16
MAX_FORMATS = 64
TYPE = "application/sdp"
DTMF = "TELEPHONE-EVENT"
"""Keys as events (RFC 4733), listed among the codecs."""
KEY_BYTES = {"AES_CM_128_HMAC_SHA1_80": 30, "AES_CM_128_HMAC_SHA1_32": 30}
"""Master key and salt of the SRTP suites that we know (RFC 4568 section 6.2)."""
Attributes = Sequence[tuple[str, str]]

_LIFETIME = re.compile(r"(?:2\^)?[0-9]{1,15}\Z")


class Direction(StrEnum):
    """Who sends, from the writer's side (RFC 8866 section 6.7)."""

    BOTH = "sendrecv"
    SEND = "sendonly"
    RECEIVE = "recvonly"
    NONE = "inactive"

    @property
    def sends(self) -> bool:
        return self in (Direction.BOTH, Direction.SEND)

    @property
    def receives(self) -> bool:
        return self in (Direction.BOTH, Direction.RECEIVE)

    @property
    def reversed(self) -> Direction:
        """The same from the other side (RFC 3264 section 6.1)."""
        return {Direction.SEND: Direction.RECEIVE, Direction.RECEIVE: Direction.SEND}.get(self, self)


@dataclass(frozen=True, slots=True)
class Codec:
    """A way to write sound. `name` in capitals; `rate` is its RTP clock (Hz), which for G.722 is half its true rate."""

    name: str
    rate: int = 8000
    channels: int = 1


PCMU, PCMA, G722 = Codec("PCMU"), Codec("PCMA"), Codec("G722")
OPUS = Codec("OPUS", 48_000, 2)
STATIC = {0: PCMU, 3: Codec("GSM"), 8: PCMA, 9: G722, 13: Codec("CN"), 18: Codec("G729")}
"""Payload types that mean something without being explained (RFC 3551 section 6)."""


@dataclass(frozen=True, slots=True)
class Format:
    """A codec, the number its packets carry, and its options."""

    payload: int
    codec: Codec
    options: str = ""


@dataclass(frozen=True, slots=True)
class Crypto:
    """How one side encrypts what it sends (RFC 4568). `key` is master key and salt."""

    tag: int
    suite: str
    key: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"{self.tag} {self.suite} inline:{base64.b64encode(self.key).decode()}"


@dataclass(frozen=True, slots=True)
class Media:
    """One stream. `port` 0: not wanted. `host`: where it is received. `names`: its formats as listed."""

    kind: str
    port: int
    protocol: str
    names: tuple[str, ...]
    formats: tuple[Format, ...] = ()
    host: str = ""
    direction: Direction = Direction.BOTH
    crypto: tuple[Crypto, ...] = ()
    rtcp_mux: bool = False

    def find(self, codec: Codec) -> Format | None:
        """The first format of a codec."""
        return next((found for found in self.formats if found.codec == codec), None)


@dataclass(frozen=True, slots=True)
class Description:
    """A whole session. `session` and `version` tell it from others, and its changes apart."""

    media: tuple[Media, ...]
    session: str = "0"
    version: str = "0"
    host: str = ""

    def __bytes__(self) -> bytes:
        """As it is sent. Every stream has its own c= line, except those not wanted."""
        host = self.host or next((media.host for media in self.media if media.host), "0.0.0.0")  # noqa: S104
        lines = ["v=0", f"o=- {self.session} {self.version} {_network(host)}", "s=-", f"c={_network(host)}", "t=0 0"]
        for media in self.media:
            lines += _media_lines(media, host)
        return ("\r\n".join(lines) + "\r\n").encode()


def parse(data: bytes) -> Description:
    """Read a description. Raises Malformed, with the status that refuses it: 488."""
    try:
        return _parse(data)
    except Malformed as malformed:
        raise Malformed(f"sdp: {malformed.why}", 488) from None


def _parse(data: bytes) -> Description:
    if len(data) > MAX_BYTES:
        raise Malformed(f"at most {MAX_BYTES} bytes")
    lines = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").split("\n")
    if len(lines) > MAX_LINES or lines[0] != "v=0":
        raise Malformed(f"it begins with v=0 and has at most {MAX_LINES} lines")
    about: list[tuple[str, str]] = []
    sections: list[tuple[str, list[tuple[str, str]]]] = []
    for line in lines[1:]:
        kind, equals, value = line[:1], line[1:2], line[2:].strip()
        if equals != "=":
            raise Malformed("a line is written x=value")
        if kind == "m":
            sections.append((value, []))
        else:
            (sections[-1][1] if sections else about).append((kind, value))
    if len(sections) > MAX_MEDIA:
        raise Malformed(f"at most {MAX_MEDIA} streams")
    origin = next((value.split() for kind, value in about if kind == "o"), [])
    if len(origin) != 6:
        raise Malformed("o= has six parts")
    host, direction = _place(about, ""), _direction(about, Direction.BOTH)
    media = tuple(_media(first, rest, host, direction) for first, rest in sections)
    return Description(media, origin[1], origin[2], host)


def _media(first: str, rest: list[tuple[str, str]], host: str, direction: Direction) -> Media:
    parts = first.split()
    if len(parts) < 4 or len(parts) > MAX_FORMATS + 3 or not all(TOKEN.match(part) for part in parts[3:]):
        raise Malformed(f"m= names kind, port, protocol and at most {MAX_FORMATS} formats")
    kind, port, protocol = parts[0].lower(), parts[1].partition("/")[0], parts[2].upper()
    names = tuple(dict.fromkeys(parts[3:]))
    attributes = [_attribute(value) for key, value in rest if key == "a"]
    rtp = protocol.startswith(("RTP/AVP", "RTP/SAVP"))
    return Media(
        kind,
        number(port, 65535, "the port of m="),
        protocol,
        names,
        tuple(_formats(names, attributes)) if rtp else (),
        _place(rest, host),
        _direction(rest, direction),
        tuple(_cryptos(value for key, value in attributes if key == "crypto")),
        any(key == "rtcp-mux" for key, _ in attributes),
    )


def _attribute(text: str) -> tuple[str, str]:
    name, _, value = text.partition(":")
    return name, value


def _formats(names: tuple[str, ...], attributes: Attributes) -> Iterable[Format]:
    """The formats that are explained or need no explanation, in their order."""
    maps = _by_payload(attributes, "rtpmap")
    options = _by_payload(attributes, "fmtp")
    for name in names:
        payload = number(name, 127, "a payload type")
        codec = _codec(maps[name]) if name in maps else STATIC.get(payload)
        if codec is not None:
            yield Format(payload, codec, options.get(name, ""))


def _by_payload(attributes: Attributes, wanted: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in attributes:
        if key == wanted:
            payload, _, rest = value.partition(" ")
            found.setdefault(payload, rest.strip())
    return found


def _codec(text: str) -> Codec | None:
    """An rtpmap; None: none that anybody could mean."""
    name, *numbers = text.split("/")
    if not numbers or len(numbers) > 2 or not TOKEN.match(name):
        return None
    try:
        rate = number(numbers[0].strip(), 1_000_000, "a clock rate")
        channels = number(numbers[1].strip(), 32, "channels") if len(numbers) == 2 else 1
    except Malformed:
        return None
    return Codec(name.upper(), rate, channels)


def _place(lines: list[tuple[str, str]], otherwise: str) -> str:
    """Where sound is received: the address of the c= line. A name is taken for one, but never looked up."""
    value = next((value for kind, value in lines if kind == "c"), None)
    if value is None:
        return otherwise
    parts = value.split()
    if len(parts) != 3 or parts[0] != "IN" or parts[1] not in ("IP4", "IP6"):
        raise Malformed("c= is written IN IP4 address")
    host = parts[2].partition("/")[0]
    if "%" in host:
        raise Malformed("c= names no interface of ours")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        raise Malformed("c= names no IP address; host names are not looked up") from None


def _direction(lines: list[tuple[str, str]], otherwise: Direction) -> Direction:
    found = [Direction(value) for kind, value in lines if kind == "a" and value in _DIRECTIONS]
    return found[-1] if found else otherwise


_DIRECTIONS = frozenset(Direction)


def _cryptos(values: Iterable[str]) -> Iterable[Crypto]:
    """The lines that we can use; others (unknown suites, several keys, session parameters) are passed over."""
    for value in values:
        parts = value.split()
        if len(parts) != 3 or parts[1] not in KEY_BYTES:
            continue
        method, _, rest = parts[2].partition(":")
        text, *more = rest.split("|")
        if method != "inline" or ";" in rest or len(more) > 1 or (more and not _LIFETIME.match(more[0])):
            continue
        try:
            key = base64.b64decode(text, validate=True)
            tag = number(parts[0], 999_999_999, "a crypto tag")
        except (binascii.Error, ValueError):
            continue
        if len(key) == KEY_BYTES[parts[1]]:
            yield Crypto(tag, parts[1], key)


def _network(host: str) -> str:
    return f"IN IP{6 if ':' in host else 4} {host}"


def _media_lines(media: Media, host: str) -> Iterable[str]:
    yield f"m={media.kind} {media.port} {media.protocol} {' '.join(media.names)}"
    if not media.port:
        return
    if media.host and media.host != host:
        yield f"c={_network(media.host)}"
    for each in media.formats:
        channels = f"/{each.codec.channels}" if each.codec.channels > 1 else ""
        yield f"a=rtpmap:{each.payload} {_WRITTEN.get(each.codec.name, each.codec.name)}/{each.codec.rate}{channels}"
        if each.options:
            yield f"a=fmtp:{each.payload} {each.options}"
    yield "a=ptime:20"
    if media.rtcp_mux:
        yield "a=rtcp-mux"
    for crypto in media.crypto:
        yield f"a=crypto:{crypto}"
    yield f"a={media.direction}"


_WRITTEN = {DTMF: "telephone-event", OPUS.name: "opus"}
