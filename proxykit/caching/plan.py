"""What a fetch is for, and the errors that those who wait for one may be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from ..errors import UpstreamError
from .gaps import Parts
from .stored import StoredResponse


@frozen(slots=True, eq=False)
class Plan:
    """What a fetch is for.

    :ivar why: the reason for asking the server, as Cache-Status says it.
    :ivar candidates: stored responses that it validates, or that may stand in for a failure.
    :ivar variants: stored responses that other fields had chosen, of which the server may choose.
    :ivar conditional: whether the request asks for their validation.
    :ivar table_key: where other requests find it, ``None`` when they must not.
    :ivar background: whether it goes on though nobody waits.
    :ivar parts: what is stored of it, whose gap alone is asked for.
    :ivar detail: why one asks for itself, for Cache-Status.
    """

    why: bytes
    candidates: Sequence[StoredResponse] = ()
    variants: Sequence[StoredResponse] = ()
    conditional: bool = False
    table_key: Any = None
    background: bool = False
    parts: Parts | None = None
    detail: bytes = b""


class NotValidated(UpstreamError):
    """A response that must be validated could not be (RFC 9111 section 5.2.2.2)."""

    status = 504
    error_type = "connection_timeout"


class SharedFailure(UpstreamError):
    """The request that this one waited for was answered with an error."""

    error_type = "http_response_incomplete"
