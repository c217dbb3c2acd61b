"""Where a request goes, and who somebody is: sip, sips and tel addresses; others are kept as they are, unread.

RFC 3261 section 19.1 and RFC 3966, read in one pass over the text, so that a hostile one costs what its length is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import quote, unquote

from voice.sip.malformed import Malformed

MAX_URI = 1024
"""Most characters of one address."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+\Z")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*+)\Z")
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f<>\"]")
_NUMBER = re.compile(r"\+?[0-9]++\Z")
_USER_SAFE = "-_.!~*'()&=+$,;?/#"
_EMPTY: Mapping[str, str | None] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Uri:
    """An address. `text` is how it was written, and how it is sent on; `user` is unescaped, `host` in lower case.

    Of a scheme other than sip, sips and tel only `scheme` and `text` are known; of a tel address the number is `user`.
    """

    scheme: str
    text: str
    user: str | None = None
    host: str = ""
    port: int | None = None
    parameters: Mapping[str, str | None] = field(default_factory=dict, hash=False)
    headers: str = ""

    def __str__(self) -> str:
        return self.text

    @property
    def known(self) -> bool:
        """It is an address that we could call."""
        return self.scheme in ("sip", "sips", "tel")

    @property
    def number(self) -> str | None:
        """The telephone number without what is there for the eye ("+1-555 (0)": "+15550"); None when it is a name."""
        if self.user is None:
            return None
        digits = self.user.partition(";")[0].translate(_VISUAL)
        return digits if _NUMBER.match(digits) else None

    @classmethod
    def of(
        cls, host: str, port: int | None = None, *, user: str | None = None, scheme: str = "sip", **named: str
    ) -> Uri:
        """The address of `user` at `host`; `named` are its parameters. Raises ValueError for what none can be."""
        if ":" in host and not host.startswith("["):
            host = f"[{host}]"
        name = "" if user is None else quote(user, safe=_USER_SAFE) + "@"
        place = host if port is None else f"{host}:{port}"
        return parse(f"{scheme}:{name}{place}" + "".join(f";{key}={value}" for key, value in named.items()))


_VISUAL = str.maketrans("", "", "-.() ")


def parse(text: str) -> Uri:
    """Read an address. Raises Malformed; one of another scheme is no error."""
    if len(text) > MAX_URI:
        raise Malformed(f"an address has at most {MAX_URI} characters")
    if _FORBIDDEN.search(text):
        raise Malformed("an address holds no spaces, quotes or brackets")
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if not colon or not _SCHEME.match(scheme) or not rest:
        raise Malformed("an address begins with its scheme: sip:, sips: or tel:")
    if scheme == "tel":
        number, _, parameters = rest.partition(";")
        return Uri(scheme, text, user=unescape(number), parameters=_parameters(parameters))
    if scheme not in ("sip", "sips"):
        return Uri(scheme, text)
    user, at, place = rest.rpartition("@")
    if "@" in user:
        raise Malformed("an address has one @; another one is written %40")
    name = user.partition(":")[0]
    if at and not name:
        raise Malformed("there is nobody before the @")
    place, _, headers = place.partition("?")
    place, _, parameters = place.partition(";")
    host, port = host_and_port(place)
    return Uri(scheme, text, unescape(name) if at else None, host, port, _parameters(parameters), headers)


def host_and_port(text: str) -> tuple[str, int | None]:
    """Read "host", "host:port" or "[IPv6]:port"; the host comes in lower case, an IPv6 address without its brackets."""
    if text.startswith("["):
        inside, bracket, after = text[1:].partition("]")
        if not bracket or (after and not after.startswith(":")):
            raise Malformed("an IPv6 address ends with ]")
        try:
            host = str(ipaddress.IPv6Address(inside))
        except ValueError:
            raise Malformed("what stands in [] is no IPv6 address") from None
        port = after[1:] if after else None
    else:
        name, colon, after = text.partition(":")
        host, port = name.lower(), after if colon else None
        if len(host) > 255 or not _HOST.match(host):
            raise Malformed("there is no host, or none that can be")
    return host, None if port is None else number(port, 65535, "a port")


def number(text: str, most: int, what: str) -> int:
    """A whole number from 0 to `most`, in ASCII digits; leading zeros are allowed. Raises Malformed."""
    if not (text.isascii() and text.isdigit()) or len(text) > 32 or (value := int(text)) > most:
        raise Malformed(f"{what} is a number from 0 to {most}")
    return value


def unescape(text: str) -> str:
    """With %41 as "A"; what is no escape stays, and what is no UTF-8 becomes a mark that shows it."""
    return unquote(text, errors="replace") if "%" in text else readable(text)


def readable(text: str) -> str:
    """Text off the wire as it can be shown: bytes that are no UTF-8 become a mark that shows it."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _parameters(text: str) -> Mapping[str, str | None]:
    if not text:
        return _EMPTY
    found: dict[str, str | None] = {}
    for part in text.split(";"):
        key, equals, value = part.partition("=")
        if not key:
            raise Malformed("a parameter of an address has no name")
        found.setdefault(unescape(key).lower(), unescape(value) if equals else None)
    return MappingProxyType(found)
