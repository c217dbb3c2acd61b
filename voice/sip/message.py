"""SIP messages: bytes into a Request or a Response and back. RFC 3261 section 7, and the tortures of RFC 4475.

What every message must have is read at once, so that behind `parse` nobody meets a broken Via, From, To, Call-ID or
CSeq. All else is text until somebody asks. What cannot be read raises Malformed, whatever it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from voice.sip import uri
from voice.sip.fields import TOKEN, Address, CSeq, Via, listed
from voice.sip.malformed import Malformed
from voice.sip.uri import Uri, number

MAX_MESSAGE = 65_535
"""Bytes of a whole message: what a datagram can hold."""
MAX_HEAD = 24_576
"""Bytes before the body."""
MAX_LINES = 192
"""Header lines."""
VERSION = "SIP/2.0"
LINES_KEPT = ("via", "from", "to", "call-id", "cseq")
"""What a response repeats of its request (section 8.2.6.2)."""

COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
"""Short names of header fields, as registered with IANA."""
_WRITTEN = {
    "call-id": "Call-ID",
    "cseq": "CSeq",
    "www-authenticate": "WWW-Authenticate",
    "rseq": "RSeq",
    "rack": "RAck",
}
_ONCE = ("from", "to", "call-id", "cseq", "max-forwards", "content-type")
_FOLD = re.compile(r"\r?\n[ \t]++")
_END = re.compile(rb"\r?\n\r?\n")
_STATUS = re.compile(r"[1-6][0-9]{2}\Z")


class Headers:
    """Header fields in their order, by names in lower case. Never changed: `with_` and `without` give others.

    The length of the body is not among them: a message knows its body.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[str, str]] = ()) -> None:
        """Raises ValueError for a name or value that would break a message apart."""
        self._fields = tuple((name.lower(), value) for name, value in fields)
        for name, value in self._fields:
            if not TOKEN.match(name) or "\r" in value or "\n" in value:
                raise ValueError(f"headers: {name!r} cannot be sent so; a name is a token, a value one line")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self._fields == other._fields

    def __hash__(self) -> int:
        return hash(self._fields)

    def __repr__(self) -> str:
        return f"Headers({', '.join(name for name, _ in self._fields)})"  # values may hold credentials

    def get(self, name: str) -> str | None:
        """The first value of a field."""
        return next((value for key, value in self._fields if key == name), None)

    def all(self, name: str) -> list[str]:
        """The values of all lines of a field."""
        return [value for key, value in self._fields if key == name]

    def items(self, name: str) -> list[str]:
        """The items of a list-valued field, over all its lines. Raises Malformed."""
        return listed([value for value in self.all(name) if value])

    def with_(self, *fields: tuple[str, str]) -> Headers:
        """These, and those behind them."""
        return Headers((*self._fields, *fields))

    def without(self, *names: str) -> Headers:
        """These, but none of those names."""
        return Headers(field for field in self._fields if field[0] not in names)


@dataclass(frozen=True, slots=True)
class _Envelope:
    headers: Headers
    body: bytes = field(default=b"", kw_only=True)
    via: Via = field(init=False, compare=False)
    """The topmost one: who sent it, and where its response goes."""
    from_: Address = field(init=False, compare=False)
    to: Address = field(init=False, compare=False)
    call_id: str = field(init=False, compare=False)
    cseq: CSeq = field(init=False, compare=False)

    def __post_init__(self) -> None:
        lines: dict[str, str] = {}
        for name, value in self.headers:
            if name in lines and name in _ONCE:
                raise Malformed(f"{name}: it stands there more than once")
            lines.setdefault(name, value)
        if missing := [name for name in LINES_KEPT if not lines.get(name)]:
            raise Malformed(f"{', '.join(missing)}: missing")
        put = object.__setattr__
        put(self, "via", Via.parse(self.headers.items("via")[0]))
        for name in ("from", "to"):
            address = Address.parse(lines[name])
            if "tag" in address.parameters and not address.tag:
                raise Malformed(f"{name}: its tag is empty")
            put(self, "from_" if name == "from" else "to", address)
        put(self, "call_id", lines["call-id"])
        put(self, "cseq", CSeq.parse(lines["cseq"]))

    def _bytes(self, first: str) -> bytes:
        lines = [first]
        lines += [f"{written(name)}: {value}" for name, value in self.headers]
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body

    def contact(self) -> Address | None:
        """Where the other end is reached from now on. Raises Malformed."""
        items = self.headers.items("contact")
        return Address.parse(items[0]) if items and items[0] != "*" else None


@dataclass(frozen=True, slots=True)
class Request(_Envelope):
    """Somebody wants something of somebody."""

    method: str = field(kw_only=True)
    uri: Uri = field(kw_only=True)

    def __post_init__(self) -> None:
        super(Request, self).__post_init__()
        if self.cseq.method != self.method:
            raise Malformed("CSeq: it names another method than the first line")

    def __bytes__(self) -> bytes:
        return self._bytes(f"{self.method} {self.uri} {VERSION}")

    def arrived_from(self, host: str, port: int) -> Request:
        """The same with the place it really came from in its topmost Via, where responses go (RFC 3581 section 4)."""
        wants_port = "rport" in self.via.parameters
        if not wants_port and self.via.host == host and "received" not in self.via.parameters:
            return self
        seen = {"received": host} | ({"rport": str(port)} if wants_port else {})
        via = replace(self.via, parameters={**self.via.parameters, **seen})
        first = next(at for at, (name, _) in enumerate(self.headers) if name == "via")
        fields = list(self.headers)
        fields[first] = ("via", ", ".join([str(via), *listed([fields[first][1]])[1:]]))
        return replace(self, headers=Headers(fields))

    def answer(self, status: int, reason: str, *fields: tuple[str, str], body: bytes = b"", tag: str = "") -> Response:
        """A response to it. `tag` is ours, and is put into To when none is there yet (section 8.2.6.2)."""
        kept = [(name, value) for name, value in self.headers if name in LINES_KEPT]
        if tag and self.to.tag is None:
            kept = [(name, f"{value};tag={tag}" if name == "to" else value) for name, value in kept]
        return Response(Headers([*kept, *fields]), body=body, status=status, reason=reason)


@dataclass(frozen=True, slots=True)
class Response(_Envelope):
    """What came of a request."""

    status: int = field(kw_only=True)
    reason: str = field(kw_only=True)

    def __bytes__(self) -> bytes:
        return self._bytes(f"{VERSION} {self.status} {self.reason}")

    @property
    def final(self) -> bool:
        """Nothing more comes."""
        return self.status >= 200

    def with_fields(self, *fields: tuple[str, str]) -> Response:
        """The same with more header fields."""
        return replace(self, headers=self.headers.with_(*fields))


Message = Request | Response


def parse(data: bytes) -> Message:
    """Read the message in a datagram; what stands behind its declared length is ignored. Raises Malformed."""
    if len(data) > MAX_MESSAGE:
        raise Malformed(f"a message has at most {MAX_MESSAGE} bytes", 513)
    if not (end := _END.search(data, 0, MAX_HEAD + 4)):
        raise Malformed("there is no empty line behind the header fields, or too late")
    first, fields = _head(data[: end.start()])
    body = _body(data[end.end() :], [value for name, value in fields if name == "content-length"])
    try:
        headers = Headers([field for field in fields if field[0] != "content-length"])
    except ValueError:
        raise Malformed("a header line is written Name: value, and holds no stray carriage return") from None
    return _message(first, headers, body)


def written(name: str) -> str:
    """A field's name as it is mostly written."""
    return _WRITTEN.get(name) or "-".join(part.capitalize() for part in name.split("-"))


def _head(data: bytes) -> tuple[str, list[tuple[str, str]]]:
    """The first line and the header fields."""
    text = data.decode("utf-8", "surrogateescape")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    first, *lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise Malformed(f"a message has at most {MAX_LINES} header lines")
    fields = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed("a header line is written Name: value")
        name = name.rstrip(" \t").lower()
        fields.append((COMPACT.get(name, name), value.strip(" \t\r")))
    return first.removesuffix("\r"), fields


def _body(data: bytes, lengths: list[str]) -> bytes:
    if not lengths:
        return data
    if len(lengths) > 1:
        raise Malformed("content-length: it stands there more than once")
    length = number(lengths[0], MAX_MESSAGE, "content-length")
    if length > len(data):
        raise Malformed("content-length: it is more than there is")
    return data[:length]


def _message(first: str, headers: Headers, body: bytes) -> Message:
    if first.startswith("SIP/"):
        version, _, rest = first.partition(" ")
        status, _, reason = rest.partition(" ")
        if version.upper() != VERSION or not _STATUS.match(status) or "\r" in reason:
            raise Malformed("a response begins with SIP/2.0, a status from 100 to 699 and a reason")
        return Response(headers, body=body, status=int(status), reason=reason)
    parts = first.split(" ")
    if len(parts) != 3 or not TOKEN.match(parts[0]) or not parts[2].upper().startswith("SIP/"):
        raise Malformed("a request begins with a method, an address and SIP/2.0, one space between them")
    if parts[2].upper() != VERSION:
        raise Malformed("this is SIP/2.0", 505)
    target = uri.parse(parts[1])
    if target.headers:
        raise Malformed("the address of a request has no header fields in it")  # section 19.1.1
    return Request(headers, body=body, method=parts[0], uri=target)
