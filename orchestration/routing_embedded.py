"""The embedded index: how alike two sentences are, as an embedding model has it. Examples are embedded once.

That is done when it is first needed, for all rooms together, in batches; what was done of it before a failure is kept.
After a failure nobody tries again for REST seconds, so that callers do not wait one by one for what is not there.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence

import numpy as np
import numpy.typing as npt

from orchestration.routing_guess import NoGuessError
from voice.clock import now

Embed = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
"""Texts in, a vector for each out, all of one length. It must be async: others talk meanwhile."""
Floats = npt.NDArray[np.float32]

BATCH = 64
"""Most examples that are embedded at once: less than what the usual services take (Cohere's take 96)."""
REST = 5.0
"""Seconds that nobody tries to embed the examples, after that has failed."""
MAX_READ = 2_000
"""Most characters of a text that are embedded: its beginning says what it is about."""
MAX_DIMENSIONS = 16_384
"""Most numbers of one vector."""


class EmbeddedIndex:
    """Some examples, ready to be compared with once they are embedded. One may serve several event loops in turn."""

    def __init__(self, examples: Sequence[str], embed: Embed) -> None:
        self._examples = list(examples)
        self._embed = embed
        self._embedded: list[Floats] = []
        self._ready: Floats | None = None
        self._lock = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rests_until = 0.0

    async def similarities(self, text: str) -> list[float]:
        """The cosine of a text with each example, 0 where it is below 0.

        Raises NoGuessError while it rests after a failure and for vectors that are none, and what `embed` raises.
        """
        examples = await self.prepare()
        (vector,) = await self._vectors([text[:MAX_READ]])
        if vector.shape != examples[0].shape:
            raise NoGuessError(f"a vector of {vector.size} numbers is not like the examples', of {examples[0].size}")
        # On one thread: a product by BLAS takes all cores, on which others are talking.
        near = np.einsum("ij,j->i", examples, vector)
        return [min(1.0, max(0.0, float(each))) for each in near]

    async def prepare(self) -> Floats:
        """Embed the examples, unless they are. Raises what `similarities` raises."""
        if self._ready is not None:
            return self._ready
        if self._loop is not asyncio.get_running_loop():
            # A lock belongs to a loop, and so does a time at which to try again.
            self._loop, self._lock, self._rests_until = asyncio.get_running_loop(), asyncio.Lock(), 0.0
        self._awake()
        async with self._lock:
            if self._ready is None:
                self._awake()
                try:
                    self._ready = await self._all()
                except Exception:
                    self.rest()
                    raise
            return self._ready

    def _awake(self) -> None:
        if now() < self._rests_until:
            raise NoGuessError("its examples could not be embedded a moment ago; they will be tried again")

    def rest(self) -> None:
        """Embedding the examples failed, or took too long: leave it alone for a while. Nothing when they are done."""
        if self._ready is None:
            self._rests_until = now() + REST

    async def _all(self) -> Floats:
        done = self._embedded
        while len(done) < len(self._examples):
            vectors = await self._vectors(self._examples[len(done) : len(done) + BATCH])
            if done and vectors[0].shape != done[0].shape:
                done.clear()  # another model answers now: nothing that it said before can be compared
                raise NoGuessError("the examples' vectors are not of one length; they will be embedded anew")
            done.extend(vectors)
        self._embedded = []
        return np.stack(done)

    async def _vectors(self, texts: Sequence[str]) -> Floats:
        """A vector of the length 1 for each text. Raises NoGuessError for what is none."""
        answer = self._embed(list(texts))
        if not inspect.isawaitable(answer):
            raise NoGuessError("embed is no async function; write `async def`, as it would hold everybody up")
        returned = await answer
        try:
            with np.errstate(over="ignore"):
                vectors = np.asarray(returned, dtype=np.float32)
                lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
        except (TypeError, ValueError, OverflowError) as error:
            raise NoGuessError(f"embed returned no vectors: {error!s:.100}") from None
        if vectors.ndim != 2 or len(vectors) != len(texts) or not 1 <= vectors.shape[1] <= MAX_DIMENSIONS:
            raise NoGuessError(
                f"embed returned {vectors.shape} numbers for {len(texts)} texts; a vector each is wanted"
            )
        if not np.isfinite(lengths).all():
            raise NoGuessError("embed returned numbers that are not finite, or too large")
        return np.divide(vectors, np.where(lengths > 0, lengths, 1), dtype=np.float32)
