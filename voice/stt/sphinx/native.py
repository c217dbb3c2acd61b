"""The decoder reached through ctypes, which lets all other Python threads run while it works.

The package's own binding holds the interpreter for whole calls (up to 361 ms measured). Its binary exports the C
library's functions on Linux and macOS; on Windows it does not, see `child.py`.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections import OrderedDict
from importlib.util import find_spec
from typing import Any

from voice.stt.sphinx import decoder
from voice.stt.sphinx.decoder import GRAMMARS, OPEN, Guess, Segment, Setting, SphinxError
from voice.stt.sphinx.grammar import Grammar

_POINTER, _TEXT, _NUMBER, _INT32 = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int, ctypes.c_int32
_INT32S, _NUMBERS = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_int)

_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "ps_config_init": (_POINTER, _POINTER),
    "ps_config_free": (_NUMBER, _POINTER),
    "ps_config_set_str": (_POINTER, _POINTER, _TEXT, _TEXT),
    "ps_config_set_bool": (_POINTER, _POINTER, _TEXT, _NUMBER),
    "ps_config_set_int": (_POINTER, _POINTER, _TEXT, ctypes.c_long),
    "ps_init": (_POINTER, _POINTER),
    "ps_free": (_NUMBER, _POINTER),
    "ps_add_word": (_NUMBER, _POINTER, _TEXT, _TEXT, _NUMBER),
    "ps_add_jsgf_string": (_NUMBER, _POINTER, _TEXT, _TEXT),
    "ps_add_lm_file": (_NUMBER, _POINTER, _TEXT, _TEXT),
    "ps_remove_search": (_NUMBER, _POINTER, _TEXT),
    "ps_activate_search": (_NUMBER, _POINTER, _TEXT),
    "ps_get_fsg": (_POINTER, _POINTER, _TEXT),
    "ps_set_cmn": (_NUMBER, _POINTER, _TEXT),
    "ps_get_cmn": (_TEXT, _POINTER, _NUMBER),
    "ps_start_stream": (_NUMBER, _POINTER),
    "ps_start_utt": (_NUMBER, _POINTER),
    "ps_process_raw": (_NUMBER, _POINTER, _TEXT, ctypes.c_size_t, _NUMBER, _NUMBER),
    "ps_end_utt": (_NUMBER, _POINTER),
    "ps_get_hyp": (_TEXT, _POINTER, _INT32S),
    "ps_get_prob": (_INT32, _POINTER),
    "ps_get_n_frames": (_NUMBER, _POINTER),
    "ps_seg_iter": (_POINTER, _POINTER),
    "ps_seg_next": (_POINTER, _POINTER),
    "ps_seg_free": (None, _POINTER),
    "ps_seg_word": (_TEXT, _POINTER),
    "ps_seg_frames": (None, _POINTER, _NUMBERS, _NUMBERS),
    "ps_seg_prob": (_INT32, _POINTER, _INT32S, _INT32S, _INT32S),
    "fsg_model_accept": (_NUMBER, _POINTER, _TEXT),
    "err_set_loglevel_str": (_TEXT, _TEXT),
}
"""Result and arguments of the functions used (pocketsphinx.h and fsg_model.h of 5.0 and 5.1)."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """The C library inside the package's binary, or None where it does not export its functions."""
    spec = find_spec("pocketsphinx._pocketsphinx") if find_spec("pocketsphinx") else None
    if spec is None or spec.origin is None:
        return None
    found = ctypes.CDLL(spec.origin)
    for name, (result, *arguments) in _SIGNATURES.items():
        try:
            function = getattr(found, name)
        except AttributeError:
            return None
        function.restype, function.argtypes = result, arguments
    found.err_set_loglevel_str(b"FATAL")
    return found


class NativeDecoder:
    """A `Decoder` in this process. Raises SphinxError when it cannot be made."""

    def __init__(self, open_vocabulary: bool) -> None:
        found = library()
        if found is None:
            raise SphinxError("this build of pocketsphinx does not export the C library's functions")
        self._ps: Any = found
        self._open_vocabulary = open_vocabulary
        self._decoder = self._make(decoder.settings(open_vocabulary))
        self._known: set[str] = set()
        self._grammars: OrderedDict[str, Any] = OrderedDict()
        """The compiled grammars by key, as the library's finite state models; the last used last."""
        self._model: Any = None
        """The model of the utterance's grammar."""
        self._busy = False
        if open_vocabulary:
            path = str(decoder.installed() / "en-us.lm.bin").encode()
            self._check(self._ps.ps_add_lm_file(self._decoder, OPEN.encode(), path), "load the language model")

    def begin(self, grammar: Grammar | None, means: str) -> None:
        """See `Decoder.begin`."""
        ps = self._ps
        if self._busy:
            ps.ps_end_utt(self._decoder)
        self._busy = False
        self._model = self._learn(grammar) if grammar else None
        name = (grammar.key if grammar else OPEN).encode()
        self._check(ps.ps_activate_search(self._decoder, name), f"use {name!r}")
        self._check(ps.ps_set_cmn(self._decoder, means.encode()), f"take the means {means!r}")
        self._check(ps.ps_start_stream(self._decoder), "forget the last caller's noise")
        self._check(ps.ps_start_utt(self._decoder), "begin an utterance")
        self._busy = True

    def feed(self, pcm: bytes) -> None:
        """See `Decoder.feed`."""
        self._check(self._ps.ps_process_raw(self._decoder, pcm, len(pcm) // 2, 0, 0), "process audio")

    def guess(self) -> Guess:
        """See `Decoder.guess`."""
        text = self._ps.ps_get_hyp(self._decoder, None)
        if not text:
            return Guess("")
        if self._open_vocabulary:
            return Guess(text.decode())
        sentence = bool(self._ps.fsg_model_accept(self._model, text))
        return Guess(text.decode(), decoder.fit(self._segments()), sentence)

    def finish(self) -> tuple[Guess, str]:
        """See `Decoder.finish`."""
        self._busy = False
        self._check(self._ps.ps_end_utt(self._decoder), "end an utterance")
        guess = self.guess()
        if self._open_vocabulary and guess.text:
            posterior = self._ps.ps_get_prob(self._decoder) * math.log(1.0001)
            guess = Guess(guess.text, posterior=posterior)
        return guess, self._ps.ps_get_cmn(self._decoder, 0).decode()

    def close(self) -> None:
        """See `Decoder.close`."""
        if self._decoder:
            self._ps.ps_free(self._decoder)
            self._decoder = None

    def _make(self, settings: dict[str, Setting]) -> Any:
        ps = self._ps
        config = ps.ps_config_init(None)
        for name, value in settings.items():
            match value:
                case bool():
                    ps.ps_config_set_bool(config, name.encode(), value)
                case int():
                    ps.ps_config_set_int(config, name.encode(), value)
                case str():
                    ps.ps_config_set_str(config, name.encode(), value.encode())
        made = ps.ps_init(config)
        ps.ps_config_free(config)
        if not made:
            raise SphinxError(f"pocketsphinx could not load its model from {settings['hmm']}")
        return made

    def _learn(self, grammar: Grammar) -> Any:
        """Compile a grammar, or take it from those that are."""
        ps = self._ps
        if grammar.key in self._grammars:
            self._grammars.move_to_end(grammar.key)
            return self._grammars[grammar.key]
        for word, ways in grammar.words:
            if word not in self._known:
                self._known.add(word)
                for number, phones in enumerate(ways, 1):
                    name = word if number == 1 else f"{word}({number})"
                    status = ps.ps_add_word(self._decoder, name.encode(), phones.encode(), 0)
                    self._check(min(0, status), f"add the word {name!r}")
        key = grammar.key.encode()
        self._check(ps.ps_add_jsgf_string(self._decoder, key, grammar.text.encode()), "compile the grammar")
        self._grammars[grammar.key] = ps.ps_get_fsg(self._decoder, key)
        if len(self._grammars) > GRAMMARS:
            oldest, _ = self._grammars.popitem(last=False)
            ps.ps_remove_search(self._decoder, oldest.encode())
        return self._grammars[grammar.key]

    def _segments(self) -> list[Segment]:
        ps, found = self._ps, []
        first, last = ctypes.c_int(), ctypes.c_int()
        score, language, history = ctypes.c_int32(), ctypes.c_int32(), ctypes.c_int32()
        segment = ps.ps_seg_iter(self._decoder)
        while segment:
            ps.ps_seg_frames(segment, first, last)
            ps.ps_seg_prob(segment, score, language, history)
            found.append(Segment(ps.ps_seg_word(segment).decode(), last.value - first.value + 1, score.value))
            segment = ps.ps_seg_next(segment)
        return found

    @staticmethod
    def _check(status: int, what: str) -> None:
        if status < 0:
            raise SphinxError(f"pocketsphinx could not {what}")
