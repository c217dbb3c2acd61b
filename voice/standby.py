"""Standby: providers of one seam in order of preference, each behind its breaker; who is asked now, who is next.

All rooms share it, so that what one caller learnt of a provider the next need not. The log is told when a provider
fails and when it works again, and in a long outage now and then how it stands: never a line for every request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from voice.backoff import Backoff
from voice.breaker import Breaker
from voice.provider_error import Cause, ProviderError

log = logging.getLogger("sottovoce.providers")

MOST = 10
"""Most providers that may stand by for each other."""
QUIET = 60.0
"""Seconds between two lines of the log on one provider; twice as many after each while it stays down."""
QUIETEST = 900.0


class Named(Protocol):
    """All that is asked of a provider here."""

    name: str


P = TypeVar("P", bound=Named)


@dataclass(slots=True)
class _Trouble:
    """What the log knows of a provider."""

    since: float | None = None
    """When it failed first, since it last worked."""
    failures: int = 0
    for_good: bool = False
    """Its last failure will not pass by itself: a refused key, a missing package."""
    told: bool = False
    quiet: float = QUIET
    told_at: float = float("-inf")


class Standby(Generic[P]):
    """`kind` names the seam in errors and in the log. Times are seconds of the running event loop."""

    def __init__(
        self,
        kind: str,
        providers: Sequence[P],
        method: str,
        *,
        failures: int = 3,
        pause: float = 5.0,
        longest: float = 120.0,
    ) -> None:
        """`method` is what a provider must have; `failures`, `pause`, `longest`: see `voice.breaker.Breaker`.

        Raises ValueError for no providers or too many and for bad numbers, TypeError for what is no provider.
        """
        if not isinstance(providers, list | tuple):
            raise TypeError(f"{kind}: give a list of them, not {type(providers).__name__}")
        if not 1 <= len(providers) <= MOST:
            raise ValueError(f"{kind}: give 1 to {MOST} of them, not {len(providers)}")
        for each in providers:
            if isinstance(each, type) or not callable(getattr(each, method, None)):
                raise TypeError(f"{kind}: {each!r:.60} has no {method}(): it is none; give an instance of one")
        self.kind = kind
        self.providers: tuple[P, ...] = tuple(providers)
        self._names = _distinct([str(getattr(each, "name", "") or type(each).__name__) for each in providers])
        self._breakers = [Breaker(failures, pause, longest) for _ in providers]
        self._troubles = [_Trouble() for _ in providers]
        self._aside: dict[int, Exception] = {}

    @property
    def name(self) -> str:
        """All of them, as the log calls them."""
        return " or ".join(self._names)

    def name_of(self, which: int) -> str:
        """How one is called; two of the same name are numbered."""
        return self._names[which]

    @property
    def preferred(self) -> int:
        """Which would be asked now; where none may be asked, the first that could be."""
        try:
            now = asyncio.get_running_loop().time()
        except RuntimeError:
            now = 0.0
        if (ready := self.spare(now, ())) is not None:
            return ready
        return next((which for which in range(len(self.providers)) if which not in self._aside), 0)

    def choose(self, now: float, without: Collection[int] = (), *, before: int | None = None) -> int | None:
        """The first that may be asked now; whoever asks it must say how that went. `before`: only one before this."""
        for which in range(len(self.providers) if before is None else before):
            if which not in without and self.allows(which, now):
                return which
        return None

    def worked(self, which: int, now: float) -> None:
        """It did what was asked."""
        self._breakers[which].worked()
        trouble = self._troubles[which]
        if trouble.since is None:
            return
        if trouble.told:
            seconds, count = now - trouble.since, trouble.failures
            log.info("%s %s works again, after %.0f s and %d failures", self.kind, self._names[which], seconds, count)
        self._troubles[which] = _Trouble(told_at=trouble.told_at)

    def dropped(self, which: int, began: float) -> None:
        """Nobody waits any longer to see whether it does what it was chosen for at `began`."""
        self._breakers[which].dropped(began)

    def allows(self, which: int, now: float) -> bool:
        """Whether this one may be asked now; whoever asks it must say how that went."""
        return which not in self._aside and self._breakers[which].allows(now)

    def ready(self, which: int, now: float) -> bool:
        """Whether this one could be asked; unlike `allows` it takes nobody's place."""
        return which not in self._aside and self._breakers[which].ready(now)

    def opens_at(self, now: float) -> float:
        """When the first that is not set aside may be asked."""
        times = [b.opens_at(now) for which, b in enumerate(self._breakers) if which not in self._aside]
        return min(times, default=float("inf"))

    @property
    def hopeless(self) -> bool:
        """Whether what each failed of last will not pass by itself."""
        return all(trouble.for_good for which, trouble in enumerate(self._troubles) if which not in self._aside)

    def spare(self, now: float, without: Collection[int]) -> int | None:
        """Who else could be asked; unlike `choose` it takes nobody's place."""
        others = (which for which in range(len(self.providers)) if which not in without)
        return next((which for which in others if self.ready(which, now)), None)

    def request(self, backoff: Backoff, asked: int | None = None) -> Request:
        """For one request: who is asked next, until one did it or none is left. `asked`: who is asked already."""
        return Request(self, backoff, asked)

    def failed(self, which: int, error: Exception, now: float, instead: int | None = None, then: str = "") -> None:
        """It did not. `instead`: who is asked now, or `then`: what is done now, for the log."""
        self.stumbled(which, error, now)
        self.tell(which, error, now, instead, then)

    def stumbled(self, which: int, error: Exception, now: float) -> None:
        """It did not, and is asked once more: not worth a line in the log."""
        self._breakers[which].failed(now, error)
        trouble = self._troubles[which]
        if trouble.since is None or now < trouble.since:
            trouble.since = now
        trouble.failures += 1
        trouble.for_good = isinstance(error, ProviderError) and error.cause in (Cause.KEY, Cause.MISSING)

    def tell(self, which: int, error: Exception, now: float, instead: int | None = None, then: str = "") -> None:
        """Have the log know that it failed, unless it was told of that not long ago."""
        trouble = self._troubles[which]
        if 0 <= now - trouble.told_at < trouble.quiet:
            return
        trouble.quiet = min(trouble.quiet * 2, QUIETEST) if trouble.told else QUIET
        trouble.told, trouble.told_at = True, now
        since = now if trouble.since is None else trouble.since
        so_far = f", {trouble.failures} times in {now - since:.0f} s" if trouble.failures > 1 else ""
        then = then or ("no other is left" if instead is None else f"{self._names[instead]} is asked instead")
        what = f"{self.kind} {self._names[which]} failed{so_far}: {described(error)}{_fix(error)}; {then}"
        log.warning("%s", what, exc_info=None if isinstance(error, ProviderError) else error)

    def set_aside(self, which: int, error: Exception) -> None:
        """It cannot be made ready: it is not asked until it is."""
        if which not in self._aside:
            what = f"{self.kind} {self._names[which]} cannot be made ready, done without it"
            log.warning("%s: %s%s", what, described(error), _fix(error))
        self._aside[which] = error

    async def prepare(self) -> None:
        """Make all ready, one after the other: numpy does not survive being imported by two threads at once. Those that
        are, know that they are. Raises ProviderError when none can be."""
        for which, provider in enumerate(self.providers):
            prepare = getattr(provider, "prepare", None)
            try:
                if prepare is not None:
                    await prepare()
            except Exception as error:
                self.set_aside(which, error)
            else:
                self._aside.pop(which, None)
        if len(self._aside) == len(self.providers):
            raise self.error(self._aside)

    async def aclose(self) -> None:
        """Close those that can be. The first error is raised when all were tried."""
        errors = []
        for provider in self.providers:
            if close := getattr(provider, "aclose", None):
                try:
                    await close()
                except Exception as error:
                    errors.append(error)
        if errors:
            raise errors[0]

    def error(self, errors: Mapping[int, Exception], now: float | None = None) -> ProviderError:
        """None of them did it: what each failed of; those not in `errors` are left alone for now."""
        told, causes = list[str](), list[Cause]()
        fixes: dict[Cause, str] = {}
        for which, name in enumerate(self._names):
            error = errors.get(which) or self._aside.get(which)
            if isinstance(error, ProviderError):
                causes.append(error.cause)
                fixes.setdefault(error.cause, error.fix)
            if error is None:
                left = max(self._breakers[which].opens_at(now) - now, 0.0) if now is not None else 0.0
                told.append(f"{name}: left alone for {left:.0f} s, it failed before")
            else:
                told.append(f"{name}: {described(error)}"[: 250 // len(self._names) + 30])
        for_good = (Cause.KEY, Cause.MISSING, Cause.REQUEST)
        cause = next((c for c in causes if c not in for_good), None)
        if cause is None:
            cause = causes[0] if len(causes) == len(self._names) else Cause.OVERLOAD
        only = next(iter(errors.values()), None) or self._aside.get(0) if len(self._names) == 1 else None
        detail = only.detail if isinstance(only, ProviderError) else "; ".join(told)
        none = ProviderError(self.name, cause, detail, fix=fixes.get(cause, ""))
        none.logged = True
        return none


class Request:
    """One request's way through them: each once, in order; then, if `backoff` allows, all once more."""

    def __init__(self, standby: Standby[Any], backoff: Backoff, asked: int | None = None) -> None:
        self._standby, self._backoff = standby, backoff
        self._now = asyncio.get_running_loop().time
        self._begun = self._now()
        self._tried: set[int] = set()
        self._errors: dict[int, Exception] = {}
        self._rounds = 0
        self._tries: dict[int, int] = {}
        self._asked_at = self._begun
        self._which = standby.choose(self._begun) if asked is None else asked

    async def next(self, *, rounds: bool = True) -> int:
        """Who is to be asked; whoever does so says how that went. Raises ProviderError naming all when none is left.

        Without `rounds` nobody is asked again who failed; whoever is left alone for the moment is waited for.
        """
        while self._which is None:
            wait = self.pause() if rounds or not self._errors else None
            if wait is None:
                raise self.error()
            await asyncio.sleep(wait)
            self.again()
        return self._which

    @property
    def which(self) -> int | None:
        """Who is to be asked now; None: all have failed, or are left alone."""
        return self._which

    def pause(self) -> float | None:
        """Seconds after which all may be asked `again`; None: that would not help."""
        self._rounds += 1
        spent = self._now() - self._begun
        if not self._errors:  # all are left alone: a short pause can be sat out, where that may help
            if self._standby.hopeless:
                return None
            left = max(self._standby.opens_at(self._now()) - self._now(), 0.0)
            refused = ProviderError(self._standby.name, Cause.OVERLOAD)
            wait = self._backoff.pause(self._rounds, spent + left, refused)
            return None if wait is None else left + wait
        waits = [self._backoff.pause(self._rounds, spent, _known(error)) for error in self._errors.values()]
        return min((wait for wait in waits if wait is not None), default=None)

    async def retry(self, error: Exception) -> bool:
        """Have the same one asked once more, after a pause, if that may help; it may also be the next's turn then.
        False: nothing was done."""
        which = self._which
        assert which is not None, "nobody was asked"
        self._tries[which] = self._tries.get(which, 0) + 1
        wait = self._backoff.pause(self._tries[which], self._now() - self._begun, _known(error))
        if wait is None:
            return False
        self._errors[which] = error
        self._standby.stumbled(which, error, self._now())
        if not self._standby.ready(which, self._now()):  # said now: whoever asks may not wait for the next try
            self._standby.tell(which, error, self._now(), self._standby.spare(self._now(), {*self._tried, which}))
        await asyncio.sleep(wait)
        self._asked_at = self._now()
        if not self._standby.allows(which, self._asked_at):
            self._tried.add(which)
            self._choose()
            self._standby.tell(which, error, self._now(), self._which)
        return True

    def spare(self) -> bool:
        """Whether another is left."""
        without = self._tried if self._which is None else {*self._tried, self._which}
        return self._standby.spare(self._now(), without) is not None

    def again(self) -> None:
        """Ask all once more."""
        self._tried.clear()
        self._choose()

    def worked(self) -> None:
        """The one that was asked did it."""
        if self._which is not None:
            self._standby.worked(self._which, self._now())

    def dropped(self) -> None:
        """Nobody waits for it any more."""
        if self._which is not None:
            self._standby.dropped(self._which, self._asked_at)

    def failed(self, error: Exception, then: str = "") -> int | None:
        """The one that was asked did not do it; returns who is to be asked now. `then`: nobody is, but this is done."""
        failed = self._which
        assert failed is not None, "nobody was asked"
        self._errors[failed] = error
        self._tried.add(failed)
        if not then:
            self._choose()
        self._standby.failed(failed, error, self._now(), self._which, then)
        return self._which

    def error(self) -> ProviderError:
        """Why none did it."""
        return self._standby.error(self._errors, self._now())

    def _choose(self) -> None:
        self._asked_at = self._now()
        self._which = self._standby.choose(self._asked_at, self._tried)


def described(error: Exception) -> str:
    """An error for the log and for other errors; a stranger's text may hold a key, so only its type is named."""
    if not isinstance(error, ProviderError):
        return type(error).__name__
    status = f" ({error.status})" if error.status is not None else ""
    return f"{error.cause}{status}" + (f": {error.detail}" if error.detail else "")


def _fix(error: Exception) -> str:
    """What helps against what does not pass by itself, as the end of a line of the log."""
    return f"; fix: {error.fix}" if isinstance(error, ProviderError) and not error.transient and error.fix else ""


def _known(error: Exception) -> Exception:
    """What may pass by itself, as that: a bug of somebody's does not, a connection that broke does."""
    if isinstance(error, OSError):  # a TimeoutError is one
        return ProviderError("", Cause.TIMEOUT if isinstance(error, TimeoutError) else Cause.NETWORK)
    return error


def _distinct(names: list[str]) -> list[str]:
    return [name if name not in names[:i] else f"{name} #{i + 1}" for i, name in enumerate(names)]
