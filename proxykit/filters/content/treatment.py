"""What is done to the exchanges that one set of sections applies to, compiled once for the set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen

from ...engine.exchange import Exchange
from ...message.fields import Headers
from .answers import Answer, answer_of
from .content_rule import ContentRule, is_anything, is_text
from .field_changes import (
    RequestChange,
    ResponseChange,
    ask_for_what_can_be_decoded,
    filtered_line,
    request_changes,
    response_changes,
)
from .privoxy.action_file import Action
from .privoxy.filter_file import Filters, Kind, NamedFilter
from .settings import Settings


@frozen(slots=True, eq=False)
class Treatment:
    """What is done.

    :ivar answer: answers in the place of a server, if it wants to.
    :ivar request: what is done to requests.
    :ivar response: what is done to responses.
    :ivar content: what may be done to content, in this order.
    :ivar request_taggers: what tags requests.
    :ivar response_taggers: what tags responses.
    :ivar suppressed: tags that are not given.
    """

    answer: Answer | None = None
    request: tuple[RequestChange, ...] = ()
    response: tuple[ResponseChange, ...] = ()
    content: tuple[ContentRule, ...] = ()
    request_taggers: tuple[NamedFilter, ...] = ()
    response_taggers: tuple[NamedFilter, ...] = ()
    suppressed: frozenset[bytes] = frozenset()

    @classmethod
    def of(
        cls, rules: Iterable[ContentRule], actions: Iterable[Action], filters: Filters
    ) -> Treatment:
        """Compile rules and the actions that come after them."""
        settings = Settings.of(actions)
        content = (*rules, *_privoxy_rules(settings, filters))
        request = tuple(request_changes(settings, filters))
        if content:
            request += (ask_for_what_can_be_decoded,)
        return cls(
            answer_of(settings),
            request,
            tuple(response_changes(settings, filters)),
            content,
            _named(settings, filters, "client-header-tagger", Kind.REQUEST_TAGS),
            _named(settings, filters, "server-header-tagger", Kind.RESPONSE_TAGS),
            frozenset(each.encode("latin-1") for each in settings.values("suppress-tag")),
        )

    def tags(
        self, taggers: Sequence[NamedFilter], lines: Iterable[bytes], exchange: Exchange
    ) -> set[bytes]:
        """Give the tags of a head: what becomes of its lines that taggers change."""
        tags: set[bytes] = set()
        for line in lines:
            for tagger in taggers:
                tag = filtered_line(line, (tagger,), exchange)
                if tag and tag != line:
                    tags.add(tag)
        return tags - self.suppressed


NOTHING = Treatment()


def field_lines(headers: Headers) -> Iterable[bytes]:
    """Give fields as lines."""
    return [b"%s: %s" % field for field in headers]


def _named(
    settings: Settings, filters: Filters, action: str, kind: Kind
) -> tuple[NamedFilter, ...]:
    return tuple(filters[kind, name] for name in settings.values(action) if (kind, name) in filters)


def _privoxy_rules(settings: Settings, filters: Filters) -> Iterable[ContentRule]:
    accepts = is_anything if "force-text-mode" in settings.single else is_text
    for each in _named(settings, filters, "filter", Kind.CONTENT):
        yield ContentRule(
            each.name,
            accepts,
            tuple(job.substitution for job in each.jobs),
            any(job.dynamic for job in each.jobs),
        )
