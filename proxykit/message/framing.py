"""How a message's content is delimited (RFC 9112 section 6): a closed set of four."""

from __future__ import annotations

import re

from attrs import frozen

from ..errors import BadRequest, BadResponse
from .fields import FieldSection

_LENGTH = re.compile(rb"[0-9]{1,18}\Z")


@frozen(slots=True)
class NoContent:
    """The message ends with its head."""


@frozen(slots=True)
class Length:
    """The content has a known number of bytes (more than none)."""

    size: int


@frozen(slots=True)
class Chunked:
    """The content is in chunks (RFC 9112 section 7.1)."""


@frozen(slots=True)
class UntilClose:
    """The content ends with the connection; for responses only."""


Framing = NoContent | Length | Chunked | UntilClose

NO_CONTENT = NoContent()
CHUNKED = Chunked()
UNTIL_CLOSE = UntilClose()


def _declared(
    version: int, section: FieldSection, error: type[BadRequest] | type[BadResponse]
) -> Framing:
    """Judge Content-Length and Transfer-Encoding; ``UNTIL_CLOSE`` when there is neither.

    The verdict on a section of HTTP/1.1 is remembered with it.
    """
    if version:
        if section.declared is None:
            section.declared = _judged(version, section, error)
        framing: Framing = section.declared
        return framing
    return _judged(version, section, error)


def _judged(
    version: int, section: FieldSection, error: type[BadRequest] | type[BadResponse]
) -> Framing:
    values = section.values
    coding = values.get(b"transfer-encoding")
    length = values.get(b"content-length")
    if coding is not None:
        if length is not None:
            # RFC 9112 section 6.3 step 3: "might indicate an attempt to perform request smuggling".
            raise error("Content-Length stands beside Transfer-Encoding")
        if version == 0:
            # RFC 9112 section 6.1: the framing of such a message is to be taken as faulty.
            raise error("an HTTP/1.0 message has a Transfer-Encoding")
        if coding.lower() != b"chunked":
            raise error("the transfer coding is not one final chunked")
        return CHUNKED
    if length is None:
        return UNTIL_CLOSE
    if not _LENGTH.match(length):
        # Two lengths are combined with a comma, so two of them end here even when they agree.
        raise error("Content-Length is not one number")
    size = int(length)
    return Length(size) if size else NO_CONTENT


def request_framing(version: int, section: FieldSection) -> Framing:
    """Choose a request's framing (RFC 9112 section 6.3).

    :param version: HTTP/1's minor version.
    :raises BadRequest: when the framing is ambiguous.
    """
    declared = _declared(version, section, BadRequest)
    return NO_CONTENT if declared is UNTIL_CLOSE else declared


def response_framing(method: bytes, version: int, status: int, section: FieldSection) -> Framing:
    """Choose a response's framing (RFC 9112 section 6.3).

    :param method: of the request that it answers.
    :param version: HTTP/1's minor version.
    :raises BadResponse: when the framing is ambiguous, for a HEAD or a 304 too: the fields would
        be passed on.
    """
    declared = _declared(version, section, BadResponse)
    if method == b"HEAD" or status < 200 or status in (204, 304):
        return NO_CONTENT
    return declared
