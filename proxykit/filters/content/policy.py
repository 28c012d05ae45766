"""Rules and sections, indexed: gives each exchange what is done to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from attrs import field, frozen

from ...engine.exchange import Exchange
from .content_rule import ContentRule
from .exchange_facts import path_of
from .privoxy.action_file import Action
from .privoxy.filter_file import Filters
from .treatment import NOTHING, Treatment
from .url_index import UrlIndex
from .url_pattern import UrlPattern

_TREATMENTS = 1024
"""How many sets of sections are remembered: as many sites need less than a few dozen."""


@frozen(slots=True)
class TagPattern:
    """A pattern of tags, which stands in the place of one of URLs.

    :ivar text: as it was written.
    """

    text: str
    matches: Callable[[bytes], bool] = field(eq=False)


@frozen(slots=True, eq=False)
class Selected:
    """A rule or the actions of a section, and what they are for.

    :ivar rule: of the configuration's own, ``None`` of a section.
    """

    urls: Sequence[UrlPattern]
    tags: Sequence[TagPattern] = ()
    rule: ContentRule | None = None
    actions: tuple[Action, ...] = ()


class Policy:
    """What is done to whom."""

    def __init__(self, selected: Sequence[Selected], filters: Filters) -> None:
        """Index everything.

        :param selected: in the order in which it counts.
        """
        self._selected = tuple(selected)
        self._filters = filters
        self._index = UrlIndex(
            (number, pattern) for number, each in enumerate(selected) for pattern in each.urls
        )
        self._tags = tuple(
            (number, pattern) for number, each in enumerate(selected) for pattern in each.tags
        )
        self._treatment = lru_cache(maxsize=_TREATMENTS)(self._compiled)

    @property
    def changes_responses(self) -> bool:
        """Whether it may ever have anything to do with the fields of responses."""
        everything = Treatment.of(
            (),
            [action for each in self._selected for action in each.actions if action.on],
            self._filters,
        )
        return bool(everything.response or everything.response_taggers)

    def numbers(self, exchange: Exchange) -> tuple[int, ...]:
        """Give the numbers of what applies to the URL that is asked for."""
        return self._index.matching(exchange.host, exchange.port, path_of(exchange))

    def tagged(self, tags: set[bytes]) -> tuple[int, ...]:
        """Give the numbers of what applies to any of some tags."""
        return tuple(
            sorted({n for n, pattern in self._tags if any(map(pattern.matches, tags))})
        )  # fmt: skip

    def treatment(self, numbers: tuple[int, ...], tagged: tuple[int, ...] = ()) -> Treatment:
        """Give what is done where these apply.

        :param tagged: those that apply because of tags: they count last.
        """
        if not numbers and not tagged:
            return NOTHING
        return self._treatment(numbers, tagged)

    def _compiled(self, numbers: tuple[int, ...], tagged: tuple[int, ...]) -> Treatment:
        chosen = [self._selected[number] for number in (*numbers, *tagged)]
        return Treatment.of(
            [each.rule for each in chosen if each.rule is not None],
            [action for each in chosen for action in each.actions],
            self._filters,
        )
