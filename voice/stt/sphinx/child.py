"""The decoder in a process of its own, through the package's Python binding: for where `native` cannot be.

That is Windows, whose binary exports nothing. The binding holds its interpreter for up to 361 ms, so it gets one that
nobody else needs. Run as `python -m voice.stt.sphinx.child` it is the process, spoken to in messages of one letter and
JSON (`F` carries audio); every message but `F` is answered, with `K` and what it gives or with `X` and what went wrong.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import warnings
from typing import IO, Any

from voice import worker
from voice.stt.sphinx import decoder
from voice.stt.sphinx.decoder import OPEN, Guess, Segment, SphinxError
from voice.stt.sphinx.grammar import Grammar
from voice.worker import Worker, WorkerDiedError

PATIENCE = 30.0
"""Seconds an answer may take: the open language of a long utterance is slow work."""


class ChildDecoder:
    """A `Decoder` in a child process."""

    def __init__(self, open_vocabulary: bool) -> None:
        self._worker = Worker("voice.stt.sphinx.child")
        self._ask(b"N", open_vocabulary)

    def begin(self, grammar: Grammar | None, means: str) -> None:
        """See `Decoder.begin`."""
        self._ask(b"B", [grammar and dataclasses.astuple(grammar), means])

    def feed(self, pcm: bytes) -> None:
        """See `Decoder.feed`."""
        self._worker.send(b"F", pcm)

    def guess(self) -> Guess:
        """See `Decoder.guess`."""
        return Guess(*self._ask(b"G"))

    def finish(self) -> tuple[Guess, str]:
        """See `Decoder.finish`."""
        guess, means = self._ask(b"E")
        return Guess(*guess), means

    def close(self) -> None:
        """See `Decoder.close`."""
        self._worker.stop()

    def _ask(self, kind: bytes, content: object = None) -> Any:
        try:
            self._worker.send(kind, json.dumps(content).encode())
            answer, said = self._worker.receive(PATIENCE)
        except WorkerDiedError as error:
            raise SphinxError(str(error)) from error
        if answer == b"X":
            raise SphinxError(said.decode())
        return json.loads(said)


class BindingDecoder:
    """A `Decoder` through the package's Python binding. Its scores come as probabilities and are taken back to logs."""

    def __init__(self, open_vocabulary: bool) -> None:
        import pocketsphinx

        settings: dict[str, Any] = {"dict": None, **decoder.settings(open_vocabulary)}
        self._decoder: Any = pocketsphinx.Decoder(lm=None, **settings)
        self._open_vocabulary = open_vocabulary
        self._known: set[str] = set()
        self._key = ""
        self._busy = False
        if open_vocabulary:
            self._decoder.add_lm_file(OPEN, str(decoder.installed() / "en-us.lm.bin"))

    def begin(self, grammar: Grammar | None, means: str) -> None:
        """See `Decoder.begin`."""
        if self._busy:
            self._decoder.end_utt()
        if grammar:
            self._learn(grammar)
        self._decoder.activate_search(grammar.key if grammar else OPEN)
        self._decoder.set_cmn(means)
        with warnings.catch_warnings(action="ignore"):  # called unnecessary, but only this forgets the last noise
            self._decoder.start_stream()
        self._decoder.start_utt()
        self._busy = True

    def feed(self, pcm: bytes) -> None:
        """See `Decoder.feed`."""
        self._decoder.process_raw(pcm, False, False)

    def guess(self) -> Guess:
        """See `Decoder.guess`."""
        hypothesis = self._decoder.hyp()
        if hypothesis is None or not hypothesis.hypstr:
            return Guess("")
        if self._open_vocabulary:
            return Guess(hypothesis.hypstr, posterior=math.log(hypothesis.prob) if not self._busy else 0.0)
        segments = [Segment(s.word, s.end_frame - s.start_frame + 1, _log(s.ascore)) for s in self._decoder.seg()]
        sentence = bool(self._decoder.get_fsg(self._key).accept(hypothesis.hypstr))
        return Guess(hypothesis.hypstr, decoder.fit(segments), sentence)

    def finish(self) -> tuple[Guess, str]:
        """See `Decoder.finish`."""
        self._busy = False
        self._decoder.end_utt()
        return self.guess(), self._decoder.get_cmn(False)

    def close(self) -> None:
        """See `Decoder.close`."""
        self._decoder = None

    def _learn(self, grammar: Grammar) -> None:
        if grammar.key == self._key:
            return
        for word, ways in grammar.words:
            if word not in self._known:
                self._known.add(word)
                for number, phones in enumerate(ways, 1):
                    self._decoder.add_word(word if number == 1 else f"{word}({number})", phones, False)
        self._decoder.add_jsgf_string(grammar.key, grammar.text)
        if self._key:
            self._decoder.activate_search(grammar.key)
            self._decoder.remove_search(self._key)
        self._key = grammar.key


def _log(probability: float) -> float:
    """The library's logarithm, to the base 1.0001."""
    return math.log(probability) / math.log(1.0001) if probability else float("-inf")


def _answer(found: BindingDecoder | None, kind: bytes, content: bytes) -> Any:
    """Do what a message asks; gives what it is answered with (the decoder itself for `N`)."""
    if kind == b"N":
        return BindingDecoder(json.loads(content))
    if found is None:
        raise SphinxError("there is no decoder yet")
    match kind:
        case b"F":
            return found.feed(content)
        case b"B":
            grammar, means = json.loads(content)
            return found.begin(grammar and Grammar(grammar[0], grammar[1], tuple(map(tuple, grammar[2]))), means)
        case b"G":
            return dataclasses.astuple(found.guess())
        case b"E":
            guess, means = found.finish()
            return dataclasses.astuple(guess), means
        case _:
            raise SphinxError(f"there is no message {kind!r}")


def serve(stdin: IO[bytes], stdout: IO[bytes]) -> None:
    """Answer until the input ends. What goes wrong while audio is taken is told with the next answer."""
    found: BindingDecoder | None = None
    wrong = ""
    while message := worker.read(stdin):
        kind, content = message
        said: Any = None
        try:
            said = _answer(found, kind, content)
        except (RuntimeError, ValueError) as error:
            wrong = wrong or str(error)
        if kind == b"N" and not wrong:
            found, said = said, None
        if kind != b"F":
            worker.write(stdout, b"X" if wrong else b"K", wrong.encode() if wrong else json.dumps(said).encode())
            wrong = ""


if __name__ == "__main__":
    serve(*worker.ports())
    sys.exit(0)
