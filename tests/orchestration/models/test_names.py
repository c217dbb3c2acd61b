"""What a user imports from `orchestration.models`, and that this alone loads nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from orchestration import models


@pytest.mark.parametrize("name", models.__all__)
def test_every_name_leads_to_what_it_says(name: str) -> None:
    assert getattr(models, name) is getattr(sys.modules[f"orchestration.models.{models._HOMES[name]}"], name)


def test_every_name_is_told() -> None:
    assert sorted(models._HOMES) == models.__all__


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(AttributeError, match=r"module 'orchestration.models' has no attribute 'Mock'"):
        _ = models.Mock


def test_a_provider_is_loaded_when_it_is_used() -> None:
    code = "import sys, orchestration.models as m; assert not hasattr(m, 'scripted'); m.Scripted; assert m.scripted"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
