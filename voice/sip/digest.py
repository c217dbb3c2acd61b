"""Digest authentication, both sides: who calls us proves it, and we prove who we are (RFC 7616, RFC 8760, RFC 3261 22).

SHA-256 is asked for first, MD5 is taken too, since many telephones know nothing else. Nonces are signed instead of
remembered: to challenge a stranger costs no memory. Passwords are never stored, shown or logged here.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from voice.sip.fields import parameters, quoted, split
from voice.sip.malformed import Malformed
from voice.sip.message import Request, Response
from voice.sip.uri import number

HASHES = {"SHA-256": hashlib.sha256, "MD5": hashlib.md5}
"""Best first."""
LIFETIME = 300.0
"""Seconds for which a nonce may be used."""
MAX_NONCES = 10_000
"""Nonces whose use is counted; with more of them alive the oldest must be asked for anew."""
MAX_COUNT = 2**32 - 1


class Verdict(Enum):
    """What a request's credentials are worth."""

    GOOD = auto()
    MISSING = auto()
    """There are none for us."""
    STALE = auto()
    """The nonce is too old, used up or of another time of ours: ask again, the password may be right."""
    WRONG = auto()


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found, and who it is (only if GOOD)."""

    verdict: Verdict
    user: str = ""


@dataclass(slots=True)
class Challenger:
    """Asks callers for their password in `realm`. `password_of` knows users' passwords; None: no such user.

    `secret` are random bytes of this process (32 or more). Times are loop seconds.
    """

    realm: str
    secret: bytes = field(repr=False)
    password_of: Callable[[str], str | None] = field(repr=False)
    lifetime: float = LIFETIME
    _counts: OrderedDict[str, int] = field(default_factory=OrderedDict, repr=False)
    """The highest count seen of each nonce in use."""

    def challenge(self, source: str, now: float, *, stale: bool = False) -> tuple[tuple[str, str], ...]:
        """The header fields of a 401 to somebody at address `source`."""
        nonce = self._nonce(source, round(now * 1000))
        rest = f'realm={quoted(self.realm)}, nonce="{nonce}", qop="auth"' + (", stale=true" if stale else "")
        return tuple(("www-authenticate", f"Digest {rest}, algorithm={name}") for name in HASHES)

    def check(self, request: Request, source: str, now: float) -> Checked:
        """What the credentials of a request from address `source` are worth. A count is used up by it."""
        try:
            given = next(found for each in request.headers.all("authorization") if (found := self._ours(each)))
        except StopIteration:
            return Checked(Verdict.MISSING)
        except Malformed:
            return Checked(Verdict.WRONG)
        nonce, user = given.get("nonce") or "", given.get("username") or ""
        if not self._alive(nonce, source, now):
            return Checked(Verdict.STALE)
        password = self.password_of(user)
        if not self._matches(given, request.method, password or "") or password is None:
            return Checked(Verdict.WRONG)
        count = int(given["nc"] or "", 16)
        if count <= self._counts.get(nonce, 0):
            return Checked(Verdict.STALE)
        self._counts[nonce] = count
        if len(self._counts) > MAX_NONCES:
            self._counts.popitem(last=False)
        return Checked(Verdict.GOOD, user)

    def _ours(self, value: str) -> Mapping[str, str | None] | None:
        """The credentials, if they are for our realm."""
        given = _digest(value)
        return given if given is not None and given.get("realm") == self.realm else None

    def _nonce(self, source: str, milliseconds: int) -> str:
        text = f"{milliseconds}"
        return f"{text}.{hmac.new(self.secret, f'{text} {source}'.encode(), 'sha256').hexdigest()[:32]}"

    def _alive(self, nonce: str, source: str, now: float) -> bool:
        text = nonce.partition(".")[0]
        try:
            made = number(text, 10**15, "a time")
        except Malformed:
            return False
        if not hmac.compare_digest(self._nonce(source, made).encode(), nonce.encode("utf-8", "surrogateescape")):
            return False
        oldest = next(iter(self._counts), None) if len(self._counts) >= MAX_NONCES else None
        forgotten = oldest is not None and nonce not in self._counts and made <= int(oldest.partition(".")[0])
        return not forgotten and 0 <= now - made / 1000 + 0.001 <= self.lifetime

    def _matches(self, given: Mapping[str, str | None], method: str, password: str) -> bool:
        """Whether the response is right. The address in it is not held against the request's: proxies change that."""
        algorithm = (given.get("algorithm") or "MD5").upper()
        count = given.get("nc") or ""
        if algorithm not in HASHES or given.get("qop") != "auth" or len(count) != 8 or not _hex(count):
            return False
        parts = {name: given.get(name) or "" for name in ("username", "realm", "nonce", "uri", "cnonce")}
        right = _response(algorithm, method, password, count, **parts)
        return hmac.compare_digest(right.encode(), (given.get("response") or "").encode("utf-8", "surrogateescape"))


@dataclass(frozen=True, slots=True)
class Account:
    """How we prove who we are to a provider. `realm`: None takes any (a challenge names its own)."""

    user: str
    password: str = field(repr=False)
    realm: str | None = None


def credentials(
    account: Account, request: Request, response: Response, cnonce: str, count: int = 1
) -> tuple[str, str] | None:
    """The header field that answers a 401 or 407: for the best of its challenges that we can answer; None: none is.

    `count`: how many requests were sent with this nonce, this one too. `cnonce`: random letters and digits.
    """
    name, ask = ("authorization", "www-authenticate")
    if response.status == 407:
        name, ask = ("proxy-authorization", "proxy-authenticate")
    found: dict[str, Mapping[str, str | None]] = {}
    for value in response.headers.all(ask):
        try:
            asked = _digest(value)
        except Malformed:
            continue
        if asked is not None and asked.get("nonce") and account.realm in (None, asked.get("realm")):
            found.setdefault((asked.get("algorithm") or "MD5").upper(), asked)
    algorithm = next((each for each in HASHES if each in found), None)
    return (
        None
        if algorithm is None
        else (name, _credentials(account, request, found[algorithm], algorithm, cnonce, count))
    )


def _credentials(
    account: Account, request: Request, asked: Mapping[str, str | None], algorithm: str, cnonce: str, count: int
) -> str:
    realm, nonce, uri = asked.get("realm") or "", asked.get("nonce") or "", str(request.uri)
    qop = "auth" in [each.strip().lower() for each in (asked.get("qop") or "").split(",")]
    counted = f"{count:08x}" if qop else ""
    response = _response(algorithm, request.method, account.password, counted, account.user, realm, nonce, uri, cnonce)
    parts = {"username": account.user, "realm": realm, "nonce": nonce, "uri": uri, "response": response}
    if opaque := asked.get("opaque"):
        parts["opaque"] = opaque
    text = ", ".join(f"{key}={quoted(value)}" for key, value in parts.items())
    if asked.get("algorithm"):
        text += f", algorithm={algorithm}"
    return f"Digest {text}" + (f", qop=auth, nc={counted}, cnonce={quoted(cnonce)}" if qop else "")


def _response(
    algorithm: str, method: str, password: str, count: str, username: str, realm: str, nonce: str, uri: str, cnonce: str
) -> str:
    """RFC 7616 section 3.4.1; without a count as of old (RFC 2069)."""

    def digest(text: str) -> str:
        return HASHES[algorithm](text.encode("utf-8", "surrogateescape")).hexdigest()

    who, what = digest(f"{username}:{realm}:{password}"), digest(f"{method}:{uri}")
    return digest(f"{who}:{nonce}:{count}:{cnonce}:auth:{what}" if count else f"{who}:{nonce}:{what}")


def _digest(value: str) -> Mapping[str, str | None] | None:
    """The parts of a challenge or of credentials; None: of another scheme. Raises Malformed."""
    scheme, _, rest = value.partition(" ")
    return parameters(split(rest, ",")) if scheme.lower() == "digest" else None


def _hex(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)
