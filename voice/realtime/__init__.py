"""Speech-to-speech models, one provider a file; names are imported when they are first used."""

from typing import TYPE_CHECKING

from voice.lazy import lazily

if TYPE_CHECKING:
    from voice.realtime.channel import RealtimeChannel
    from voice.realtime.deepgram import DeepgramAgent
    from voice.realtime.livekit import LiveKitRealtime

_HOMES = {"DeepgramAgent": "deepgram", "LiveKitRealtime": "livekit", "RealtimeChannel": "channel"}

__all__ = ["DeepgramAgent", "LiveKitRealtime", "RealtimeChannel"]


__getattr__ = lazily(__name__, _HOMES)
