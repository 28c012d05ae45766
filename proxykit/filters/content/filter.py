"""The ``content`` filter: changes pages on their way to who asked for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import define
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from ...engine.exchange import Exchange
from ...errors import ConfigurationError
from ...interfaces import IFilterFactory, IRequestFilter, IResponseBodyFilter, IResponseFilter
from ...message.decoding import known_coding
from ...message.fields import EMPTY_SECTION
from ...message.framing import Length
from ...message.media_types import MediaTypes, charset
from ...message.response import Response
from ...options import BuildContext
from .content_rule import ContentRule, is_endless
from .exchange_facts import facts_of
from .field_changes import change_response
from .filtering import Filtering
from .held import HeldContent, Limits, Room
from .options import ContentOptions, Rule
from .policy import Policy, Selected
from .privoxy.reading import read_files, text_of
from .privoxy.report import Report
from .treatment import Treatment, field_lines
from .url_pattern import UrlPattern
from .workers import Workers, workers_of

_log = Logger()

# Digests are of what the server sent (RFC 9530, RFC 3230, RFC 1864), which is not what is sent on.
_OF_OTHER_BYTES = (b"Content-Digest", b"Repr-Digest", b"Digest", b"Content-MD5", b"Accept-Ranges")


@define(slots=True, eq=False)
class _Note:
    """What is remembered of an exchange between its request and its response."""

    treatment: Treatment
    numbers: tuple[int, ...]
    tagged: tuple[int, ...]


@implementer(IRequestFilter, IResponseBodyFilter)
class Content:
    """Does to exchanges what the policy says of their URLs."""

    def __init__(
        self, policy: Policy, limits: Limits, workers: Workers, *, ignore_no_transform: bool
    ) -> None:
        """Take the policy."""
        self._policy = policy
        self._limits = limits
        self._workers = workers
        self._ignores_no_transform = ignore_no_transform

    def request(self, exchange: Exchange) -> Response | None:
        """See ``IRequestFilter``: find out what applies, and do it to the request."""
        policy = self._policy
        numbers = policy.numbers(exchange)
        if not numbers:
            return None
        treatment = policy.treatment(numbers)
        tagged: tuple[int, ...] = ()
        if treatment.request_taggers:
            request = exchange.request
            lines = [b"%s %s HTTP/1.1" % (request.method, request.raw_target)]
            lines += field_lines(request.headers)
            tags = treatment.tags(treatment.request_taggers, lines, exchange)
            tagged = policy.tagged(tags)
            if tagged:
                treatment = policy.treatment(numbers, tagged)
        if exchange.notes is None:
            exchange.notes = {}
        exchange.notes[self] = _Note(treatment, numbers, tagged)
        answer = treatment.answer(exchange) if treatment.answer is not None else None
        if answer is not None:
            return answer
        if treatment.request:
            headers = exchange.request.headers
            for change in treatment.request:
                change(exchange, headers)
        return None

    def _noted(self, exchange: Exchange) -> _Note | None:
        return exchange.notes.get(self) if exchange.notes is not None else None

    def response_body(self, exchange: Exchange, response: Response) -> HeldContent | None:
        """See ``IResponseBodyFilter``."""
        note = self._noted(exchange)
        if note is None or not note.treatment.content or response.status == 206:
            return None  # a part of a content (RFC 9110 section 15.3.7) is matched by nothing
        content_type = _field(response, b"content-type") or b""
        if is_endless(content_type):
            return None
        rules = [rule for rule in note.treatment.content if rule.accepts(content_type)]
        if not rules or (not self._ignores_no_transform and _no_transform(exchange, response)):
            return None
        coding = known_coding(_field(response, b"content-encoding"))
        what = f"{exchange.host} ({exchange.id})"
        why = ""
        if coding is None:
            why = "its coding is unknown"
        elif isinstance(response.framing, Length) and response.framing.size > self._limits.size:
            why = f"it is larger than {self._limits.size} bytes"
        if coding is None or why:
            _log.info("content of {what} goes on unfiltered: {why}", what=what, why=why)
            return None
        _mark(response)
        facts = facts_of(exchange) if any(rule.dynamic for rule in rules) else {}
        filtering = Filtering(rules, coding, charset(content_type), facts)
        return HeldContent(filtering, self._limits, self._workers, what)


@implementer(IResponseFilter)
class ContentAndFields(Content):
    """Does so to the fields of responses too."""

    def response(self, exchange: Exchange, response: Response) -> Response | None:
        """See ``IResponseFilter``: what the proxy answers itself is left alone."""
        note = self._noted(exchange)
        if note is None or response.section is EMPTY_SECTION:
            return None
        treatment = note.treatment
        if treatment.response_taggers:
            lines = field_lines(response.headers)
            tags = treatment.tags(treatment.response_taggers, lines, exchange)
            tagged = self._policy.tagged(tags)
            if tagged:
                treatment = self._policy.treatment(note.numbers, note.tagged + tagged)
                note.treatment = treatment
                answer = treatment.answer(exchange) if treatment.answer is not None else None
                if answer is not None:
                    return answer
        if treatment.response:
            change_response(treatment.response, exchange, response)
        return None


def _field(response: Response, name: bytes) -> bytes | None:
    """Give a field's combined value without making a copy of fields that nobody has changed."""
    headers = response.changed_headers
    return response.section.values.get(name) if headers is None else headers.get(name)


def _no_transform(exchange: Exchange, response: Response) -> bool:
    """Say whether either side forbids to change content (RFC 9110 section 7.7)."""
    asked = exchange.request.section.get(b"cache-control")
    told = _field(response, b"cache-control")
    return any(each is not None and b"no-transform" in each.lower() for each in (asked, told))


def _mark(response: Response) -> None:
    """Say what is not true of content any more that may be changed."""
    headers = response.headers
    for name in _OF_OTHER_BYTES:
        headers.remove(name)
    tag = headers.get(b"ETag")
    if tag is not None and tag.startswith(b'"'):
        headers.set(b"ETag", b"W/" + tag)  # RFC 9110 section 8.8.1: other bytes, same meaning


# --- how it is made ---------------------------------------------------------------------------


def _own(rule: Rule) -> Selected:
    substitutions = [each.substitution() for each in rule.replace]
    substitutions += [each.substitution() for each in rule.insert]
    content = ContentRule(rule.name, MediaTypes(rule.type), tuple(substitutions))
    return Selected([UrlPattern.parse(each) for each in rule.url], rule=content)


def _texts(names: Iterable[str], directory: Path) -> Sequence[tuple[str, str]]:
    texts: list[tuple[str, str]] = []
    for name in names:
        try:
            texts.append((name, text_of(directory / name)))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"content: {name} cannot be read: {error}") from error
    return texts


@implementer(IPlugin, IFilterFactory)
class ContentFactory:
    """Makes ``content`` filters."""

    name = "content"
    description = "changes pages and fields by rules, and by Privoxy's action and filter files"
    options = ContentOptions

    def build(self, options: ContentOptions, context: BuildContext) -> Content:
        """See ``IFilterFactory``."""
        report = Report()
        files = _texts(options.files, context.directory)
        actions = _texts(options.actions, context.directory)
        sections, filters = read_files(files, actions, report)
        if report.left:
            _log.info(
                "content: {left} things of Privoxy's files were not taken over, {taken} were; "
                "the command `proxykit privoxy` says which",
                left=len(report.left),
                taken=len(report.taken),
            )
        policy = Policy([*map(_own, options.rules), *sections], filters)
        limits = Limits(options.buffer_limit, options.time_limit, Room(options.buffer_total))
        kind = ContentAndFields if policy.changes_responses else Content
        return kind(
            policy,
            limits,
            workers_of(context.reactor),
            ignore_no_transform=options.ignore_no_transform,
        )
