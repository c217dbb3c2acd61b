"""Language models, one provider a file; names are imported when they are first used."""

from typing import TYPE_CHECKING

from voice.lazy import lazily

if TYPE_CHECKING:
    from orchestration.models.anthropic import Anthropic
    from orchestration.models.fallback import FallbackModel
    from orchestration.models.livekit import LiveKitLLM
    from orchestration.models.model import Delta, Message, Model, Role, TextDelta, ToolCall, ToolSpec, Usage
    from orchestration.models.preference import preferred
    from orchestration.models.prepared import Prepared
    from orchestration.models.scripted import Intent, Scripted

_HOMES = {
    "Anthropic": "anthropic",
    "Delta": "model",
    "FallbackModel": "fallback",
    "Intent": "scripted",
    "LiveKitLLM": "livekit",
    "Message": "model",
    "Model": "model",
    "Prepared": "prepared",
    "Role": "model",
    "Scripted": "scripted",
    "TextDelta": "model",
    "ToolCall": "model",
    "ToolSpec": "model",
    "Usage": "model",
    "preferred": "preference",
}

__all__ = [
    "Anthropic",
    "Delta",
    "FallbackModel",
    "Intent",
    "LiveKitLLM",
    "Message",
    "Model",
    "Prepared",
    "Role",
    "Scripted",
    "TextDelta",
    "ToolCall",
    "ToolSpec",
    "Usage",
    "preferred",
]


__getattr__ = lazily(__name__, _HOMES)
