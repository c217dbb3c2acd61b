"""Speech-to-speech models, one provider a file; names are imported when they are first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from voice.realtime.channel import RealtimeChannel
    from voice.realtime.deepgram import DeepgramAgent
    from voice.realtime.livekit import LiveKitRealtime

_HOMES = {"DeepgramAgent": "deepgram", "LiveKitRealtime": "livekit", "RealtimeChannel": "channel"}

__all__ = ["DeepgramAgent", "LiveKitRealtime", "RealtimeChannel"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'voice.realtime' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"voice.realtime.{_HOMES[name]}"), name)
    return value
