"""Conditional requests (RFC 9110 section 13), for who answers with a representation of its own."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable
from datetime import UTC, datetime

from attrs import frozen

# RFC 9110 section 5.6.7: the one form that is sent, and two old ones that are understood.
_DATE_FORMS = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
_ENTITY_TAG = re.compile(rb'(?:W/)?"[!#-~\x80-\xff]*"')
_LONGEST_LIST = 8192


@frozen(slots=True)
class Validators:
    """What tells one version of a representation from another (RFC 9110 section 8.8).

    :ivar entity_tag: a strong one, with its quotes.
    :ivar modified: whole seconds since 1970.
    """

    entity_tag: bytes
    modified: int


class Outcome(enum.Enum):
    """What a request's preconditions come to."""

    PERFORM = "perform"
    NOT_MODIFIED = "304"
    FAILED = "412"


FieldOf = Callable[[bytes], bytes | None]
"""Gives the combined value of a request's field by its name in lower case."""


def judge(field_of: FieldOf, validators: Validators) -> Outcome:
    """Judge a GET's or a HEAD's preconditions, in the order of RFC 9110 section 13.2.2."""
    if_match = field_of(b"if-match")
    if if_match is not None:
        if not _names(if_match, validators.entity_tag, weakly=False):
            return Outcome.FAILED
    else:
        unmodified_since = _seconds(field_of(b"if-unmodified-since"))
        if unmodified_since is not None and validators.modified > unmodified_since:
            return Outcome.FAILED
    if_none_match = field_of(b"if-none-match")
    if if_none_match is not None:
        if _names(if_none_match, validators.entity_tag, weakly=True):
            return Outcome.NOT_MODIFIED
    else:
        modified_since = _seconds(field_of(b"if-modified-since"))
        if modified_since is not None and validators.modified <= modified_since:
            return Outcome.NOT_MODIFIED
    return Outcome.PERFORM


def range_is_wanted(field_of: FieldOf, validators: Validators, now: float) -> bool:
    """Say whether If-Range (RFC 9110 section 13.1.5) lets a Range be looked at.

    :param now: seconds since 1970.
    """
    if_range = field_of(b"if-range")
    if if_range is None:
        return True
    if if_range.startswith((b'"', b"W/")):
        return if_range == validators.entity_tag
    # Section 8.8.2.2: a date is a strong validator only when no second change can lie within it.
    return _seconds(if_range) == validators.modified and now - validators.modified > 1


def _names(value: bytes, entity_tag: bytes, *, weakly: bool) -> bool:
    """Say whether a list of entity tags names one (RFC 9110 section 8.8.3.2)."""
    if value.strip() == b"*":
        return True
    tags = _ENTITY_TAG.findall(value[:_LONGEST_LIST])
    return entity_tag in tags or (weakly and b"W/" + entity_tag in tags)


def _seconds(value: bytes | None) -> int | None:
    """Give a field's date, ``None`` when it is none: such a field counts as not there."""
    if value is None or len(value) > 64:
        return None
    text = value.decode("latin-1")
    for form in _DATE_FORMS:
        try:
            return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp())
        except ValueError:
            continue
    return None
