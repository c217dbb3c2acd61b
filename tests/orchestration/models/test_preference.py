"""The preferred model is the cloud's where its key is set, with the app's own to fall back on."""

from __future__ import annotations

import pytest

from orchestration.models import Anthropic, FallbackModel, Intent, Scripted, preferred
from orchestration.models.preference import candidates

SCRIPT = Scripted([Intent(["hello"], answer="Hello.")])


def test_without_a_key_it_is_the_apps_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    assert preferred(SCRIPT) is SCRIPT
    assert [(check.name, check.usable) for check in candidates()] == [("anthropic", False)]


def test_with_one_it_is_the_clouds_and_the_apps_own_stands_by(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Anthropic.check().fix.startswith("set"):
        pytest.skip("anthropic is not installed")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a key")
    model = preferred(SCRIPT, model="claude-sonnet-5-5")
    assert isinstance(model, FallbackModel)
    assert "anthropic" in model.name
    assert "scripted" in model.name
    assert not hasattr(model, "grammar")  # it takes any words
    with pytest.raises(TypeError, match="temprature"):
        preferred(SCRIPT, temprature=1)
