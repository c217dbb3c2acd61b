"""The flite library, called through ctypes: one text in, its audio and the times of its tokens out through a callback.

Structures and signatures are those of flite 2.x (cst_audio.h, cst_wave.h, cst_utterance.h, flite.h). Not for use by
several threads at a time: its noise generator and the reference counts of its values are global and unguarded.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

CHUNK = 640
"""Samples flite hands over at a time, at least (40 ms of most voices)."""

SUFFIX = ".so.1"
"""Of Linux distributions. On macOS and Windows nobody ships flite as a shared library (Homebrew's is static)."""

_GO_ON, _STOP = 0, -1
_BEFORE_WORD = b"R:SylStructure.daughter1.daughter1.R:Segment.p.end"
"""The path from a word to the end of the phone before its first one: when the word begins (s)."""


@dataclass(frozen=True, slots=True)
class Token:
    """A spoken token begins at character `index` of the text and `at` seconds into the audio."""

    index: int
    at: float


@dataclass(frozen=True, slots=True)
class Sound:
    """Some audio, at `rate` samples a second; the first one comes with all the tokens of the text."""

    pcm: bytes
    rate: int
    tokens: tuple[Token, ...] = ()


Listener = Callable[[Sound], bool]
"""Is given the audio as it is made; False stops it."""


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("rate", ctypes.c_int),
        ("count", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("samples", ctypes.c_void_p),
    )


_OnAudio = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(_Wave), ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p
)


class _Streaming(ctypes.Structure):
    """The library frees it with the utterance it was given to."""

    _fields_ = (
        ("min_buffsize", ctypes.c_int),
        ("on_audio", _OnAudio),
        ("utterance", ctypes.c_void_p),
        ("item", ctypes.c_void_p),
        ("userdata", ctypes.c_void_p),
    )


class _Utterance(ctypes.Structure):
    _fields_ = (
        ("features", ctypes.c_void_p),
        ("functions", ctypes.c_void_p),
        ("relations", ctypes.c_void_p),
        ("context", ctypes.c_void_p),
    )


def shared(name: str) -> ctypes.CDLL:
    """A library of flite's, `name` without its suffix. Raises OSError when it is not installed."""
    return ctypes.CDLL(name + SUFFIX)


@functools.cache
def voice(name: str) -> tuple[Any, ctypes.CDLL]:
    """A voice of flite's, and the library that holds it. Raises OSError when it is not installed."""
    library = shared(f"libflite_cmu_us_{name}")
    register = library[f"register_cmu_us_{name}"]
    register.restype, register.argtypes = ctypes.c_void_p, (ctypes.c_char_p,)
    return register(None), library


class FliteLibrary:
    """What is used of libflite. Raises OSError when it is not installed."""

    def __init__(self) -> None:
        self._library = shared("libflite")
        pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
        utterance, streaming = ctypes.POINTER(_Utterance), ctypes.POINTER(_Streaming)
        call = self._function
        self._new_utterance = call("new_utterance", utterance)
        self._delete_utterance = call("delete_utterance", None, utterance)
        self._set_text = call("utt_set_input_text", number, utterance, text)
        self._init = call("utt_init", pointer, utterance, pointer)
        self._synthesize = call("utt_synth", pointer, utterance)
        self._new_streaming = call("new_audio_streaming_info", streaming)
        self._streaming_value = call("audio_streaming_info_val", pointer, streaming)
        self._set_feature = call("feat_set", None, pointer, text, pointer)
        self._relation = call("utt_relation", pointer, utterance, text)
        self._head = call("relation_head", pointer, pointer)
        self._next = call("item_next", pointer, pointer)
        self._daughter = call("item_daughter", pointer, pointer)
        self._string = call("item_feat_string", text, pointer, text)
        self._number = call("ffeature_float", ctypes.c_float, pointer, text)
        call("flite_init", number)()

    def speak(self, text: str, voice: Any, listener: Listener) -> None:
        """Say `text` (ASCII) and return when it is all made, or `listener` has stopped it or raised."""
        letters = text.encode("ascii")
        utterance = self._new_utterance()
        first = True
        raised: BaseException | None = None

        def on_audio(wave: Any, start: int, count: int, _last: int, _streaming: Any) -> int:
            nonlocal first, raised
            try:
                pcm = ctypes.string_at(wave.contents.samples + 2 * start, 2 * count)
                tokens = tuple(self._tokens(utterance, letters)) if first else ()
                first = False
                return _GO_ON if listener(Sound(pcm, wave.contents.rate, tokens)) else _STOP
            except BaseException as error:  # none can cross C: it is raised again below
                raised = error
                return _STOP

        callback = _OnAudio(on_audio)
        try:
            self._set_text(utterance, letters)
            self._init(utterance, voice)
            streaming = self._new_streaming()
            streaming.contents.min_buffsize = CHUNK
            streaming.contents.on_audio = callback
            self._set_feature(utterance.contents.features, b"streaming_info", self._streaming_value(streaming))
            self._synthesize(utterance)
        finally:
            self._delete_utterance(utterance)
        if raised:
            raise raised

    def _tokens(self, utterance: Any, text: bytes) -> Iterator[Token]:
        """The tokens that are spoken. They are looked for in the text: flite's own positions lose some full stops."""
        after = 0
        for token in self._items(self._head(self._relation(utterance, b"Token"))):
            name = self._string(token, b"name")
            index = text.find(name, after)
            if index < 0:
                continue
            after = index + len(name)
            begins = [self._number(word, _BEFORE_WORD) for word in self._items(self._daughter(token))]
            if any(begins):
                yield Token(index, min(filter(None, begins)))

    def _items(self, item: Any) -> Iterator[Any]:
        while item:
            yield item
            item = self._next(item)

    def _function(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        function = self._library[name]
        function.restype, function.argtypes = result, arguments
        return function
