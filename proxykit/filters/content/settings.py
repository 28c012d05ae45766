"""The actions that apply to a URL, once those of all sections that match were put together."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

from .privoxy.action_file import Action

MULTI_VALUED = frozenset(
    {
        "add-header",
        "client-header-filter",
        "client-header-tagger",
        "filter",
        "server-header-filter",
        "server-header-tagger",
        "suppress-tag",
    }
)
"""Actions that keep every parameter that they were given, and not only the last."""


@frozen(slots=True)
class Settings:
    """What is on. Of each action the last word counts; multi-valued ones add up.

    :ivar single: the parameters of the actions that have one at a time, ``""`` for none.
    :ivar multi: those of the multi-valued, in the order in which they were turned on.
    """

    single: dict[str, str] = field(factory=dict)
    multi: dict[str, list[str]] = field(factory=dict)

    @classmethod
    def of(cls, actions: Iterable[Action]) -> Settings:
        """Put actions together, the first first."""
        settings = cls()
        for action in actions:
            if action.name in MULTI_VALUED:
                settings._multi(action)
            elif action.on:
                settings.single[action.name] = action.parameter or ""
            else:
                settings.single.pop(action.name, None)
        return settings

    def _multi(self, action: Action) -> None:
        values = self.multi.setdefault(action.name, [])
        if action.parameter is None:
            if not action.on:
                values.clear()
            return
        if action.parameter in values:
            if not action.on:
                values.remove(action.parameter)
        elif action.on:
            values.append(action.parameter)

    def values(self, name: str) -> list[str]:
        """Give the parameters of a multi-valued action."""
        return self.multi.get(name, [])
