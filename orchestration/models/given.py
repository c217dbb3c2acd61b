"""A model as it is given to an agent: a list falls from one to the next; one that is remote is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from orchestration.models.model import Model

if TYPE_CHECKING:
    from orchestration.models.fallback import FallbackModel

_guarded: WeakValueDictionary[int, FallbackModel] = WeakValueDictionary()
"""Of each remote model, by its id: agents that share a model share what is known of it. A value keeps its model."""


def model_of(given: Model | Sequence[Model]) -> Model:
    """The model to ask: what was given; or, of a list or of one that says that it is `remote`, a FallbackModel over it.

    Raises TypeError for what is no model, ValueError for an empty list.
    """
    if isinstance(given, list | tuple):
        if not given:
            raise ValueError("model: the list is empty; give one model or more, best first")
        for each in given:
            _check(each)
        from orchestration.models.fallback import FallbackModel

        return FallbackModel(given)
    model = _check(given)
    return _guard(model) if getattr(model, "remote", False) is True else model


def _check(model: object) -> Model:
    if isinstance(model, type) or not callable(getattr(model, "stream", None)):
        raise TypeError(f"model: {model!r:.60} is no model, like Scripted(...)")
    return model  # type: ignore[return-value]


def _guard(model: Model) -> Model:
    from orchestration.models.fallback import FallbackModel

    if (guarded := _guarded.get(id(model))) is None:
        guarded = _guarded[id(model)] = FallbackModel([model])
    return guarded
