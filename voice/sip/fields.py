"""The values of header fields: Via, addresses with names, CSeq, lists and parameters. RFC 3261 sections 20 and 25.

Each is read in one pass over its text; nothing here backtracks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from voice.sip import uri
from voice.sip.malformed import Malformed
from voice.sip.uri import Uri, host_and_port, number, readable

TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]++\Z")
MAX_PARTS = 64
"""Most items of a list, or parameters of one item."""
MAX_CSEQ = 2**31 - 1
"""RFC 3261 section 8.1.1.5."""

_PIECES = {
    separator: re.compile(rf'"(?:[^"\\]|\\.)*+"|<[^<>"]*+>|[^"<{separator}]++|[{separator}]', re.DOTALL)
    for separator in ",;"
}
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_IP = re.compile(r"\[?[0-9A-Fa-f:.]++\]?\Z")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_EMPTY: Mapping[str, str | None] = MappingProxyType({})


def split(text: str, separator: str) -> list[str]:
    """The parts between commas (or semicolons) that stand in no quotes or angle brackets. Raises Malformed."""
    if '"' not in text and "<" not in text:
        parts = text.split(separator)
    else:
        parts, at = [""], 0
        for piece in _PIECES[separator].finditer(text):
            if piece.start() != at:
                break
            at = piece.end()
            if piece[0] == separator:
                parts.append("")
            else:
                parts[-1] += piece[0]
        if at != len(text):
            raise Malformed("a quote or an angle bracket is not closed")
    if len(parts) > MAX_PARTS:
        raise Malformed(f"more than {MAX_PARTS} parts in one line")
    return [part.strip() for part in parts]


def listed(values: list[str]) -> list[str]:
    """What several lines of one list-valued field hold, in order. Raises Malformed when an item is empty."""
    items = [item for value in values for item in split(value, ",")]
    if "" in items:
        raise Malformed("an item of a list is empty")
    if len(items) > MAX_PARTS:
        raise Malformed(f"more than {MAX_PARTS} items in a list")
    return items


def parameters(parts: list[str]) -> Mapping[str, str | None]:
    """Parameters "name=value" by name in lower case; None: it has no value. The first one of a name counts."""
    if not parts:
        return _EMPTY
    found: dict[str, str | None] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not TOKEN.match(key) or (equals and not value):
            raise Malformed("a parameter has no name, or no value after =")
        found.setdefault(key, unquote(value) if equals else None)
    return MappingProxyType(found)


def unquote(text: str) -> str:
    """What stands in the quotes, if it is quoted. Raises Malformed when they are not closed."""
    if not text.startswith('"'):
        return text
    if not (quoted := _QUOTED.fullmatch(text)):
        raise Malformed("a quote is not closed")
    return _ESCAPED.sub(r"\1", quoted[1])


def quoted(text: str) -> str:
    """In quotes, for our own headers; control characters are left out."""
    plain = "".join(character for character in text if character.isprintable())
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass(frozen=True, slots=True)
class Via:
    """A step on a request's way, and where its response goes back."""

    transport: str
    host: str
    port: int | None
    parameters: Mapping[str, str | None] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        place = host if self.port is None else f"{host}:{self.port}"
        return f"SIP/2.0/{self.transport} {place}{formatted(self.parameters)}"

    @property
    def branch(self) -> str:
        """Which transaction; empty when it does not say (RFC 2543)."""
        return self.parameters.get("branch") or ""

    @property
    def sent_by(self) -> str:
        """Who sent it, as transactions are told apart by it."""
        return f"{self.host}:{self.port or 5060}"

    @classmethod
    def parse(cls, text: str) -> Via:
        """Read one Via. Raises Malformed."""
        first, *rest = split(text, ";")
        name, slash, after = first.partition("/")
        version, slash_too, after = after.partition("/")
        transport, *place = after.split(maxsplit=1) or [""]
        if not (slash and slash_too and place):
            raise Malformed("Via: it is written SIP/2.0/UDP host:port;branch=...")
        if name.strip().upper() != "SIP" or version.strip() != "2.0":
            raise Malformed("Via: this is SIP/2.0", 505)
        if not TOKEN.match(transport):
            raise Malformed("Via: there is no such transport")
        host, port = host_and_port(":".join(part.strip() for part in place[0].split(":")))
        return cls(transport.upper(), host, port, parameters(rest))


@dataclass(frozen=True, slots=True)
class Address:
    """Somebody: the name shown (may be empty), the address, and the field's own parameters."""

    uri: Uri
    name: str = ""
    parameters: Mapping[str, str | None] = field(default_factory=dict, hash=False)

    @property
    def tag(self) -> str | None:
        """Which end of a dialog it is."""
        return self.parameters.get("tag")

    def __str__(self) -> str:
        named = f"{quoted(self.name)} " if self.name else ""
        return f"{named}<{self.uri}>" + formatted(self.parameters)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read one name-addr or addr-spec. Raises Malformed."""
        before, bracket, _ = text.partition("<") if not text.startswith('"') else _after_name(text)
        if not bracket:
            place, *rest = split(text, ";")
            if "?" in place or "," in place:
                raise Malformed("an address with ? or , in it stands in angle brackets")  # RFC 3261 section 20
            return cls(uri.parse(place), "", parameters(rest))
        inside, closing, after = text[len(before) + 1 :].partition(">")
        if not closing or (after.strip() and not after.lstrip().startswith(";")):
            raise Malformed("an angle bracket is not closed, or something stands behind it")
        named = readable(unquote(before.strip()))
        return cls(uri.parse(inside.strip()), named, parameters(split(after, ";")[1:]))


def _after_name(text: str) -> tuple[str, str, str]:
    """Like partition("<"), behind a quoted name."""
    name = _QUOTED.match(text)
    if not name:
        raise Malformed("the quote of a name is not closed")
    between, bracket, rest = text[name.end() :].partition("<")
    if not bracket or between.strip():
        raise Malformed("behind a quoted name comes an address in angle brackets")
    return name[0] + between, bracket, rest


def formatted(named: Mapping[str, str | None]) -> str:
    """Parameters as they are sent."""
    return "".join(f";{key}" if value is None else f";{key}={_value(value)}" for key, value in named.items())


def _value(text: str) -> str:
    return text if TOKEN.match(text) or _IP.match(text) else quoted(text)


@dataclass(frozen=True, slots=True)
class CSeq:
    """Which request of its dialog it is."""

    sequence: int
    method: str

    def __str__(self) -> str:
        return f"{self.sequence} {self.method}"

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """Read a CSeq. Raises Malformed."""
        parts = text.split()
        if len(parts) != 2 or not TOKEN.match(parts[1]):
            raise Malformed("CSeq: it is a number and a method")
        return cls(number(parts[0], MAX_CSEQ, "CSeq"), parts[1])
