"""What a fetch is for, and the errors that those who wait for one may be told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from ..engine.cache import Answerable
from ..errors import UpstreamError
from .answering import Asked
from .gaps import Parts
from .stored import StoredHead, StoredResponse
from .under_way import TableKey


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
    table_key: TableKey | None = None
    background: bool = False
    parts: Parts | None = None
    detail: bytes = b""


class Asks(Protocol):
    """Who asks servers, for those to whom what a fetch has brought is of no use."""

    def ask_alone(
        self,
        relay: Answerable,
        asked: Asked,
        candidates: Sequence[StoredResponse],
        why: bytes,
        detail: bytes,
    ) -> None:
        """Ask the server for one client that must not, or will not, wait for others."""

    def ask_again(self, relay: Answerable, asked: Asked, head: StoredHead) -> None:
        """Ask the server for a client that waited for what turned out to be another variant."""

    def ask_for_all(self, relay: Answerable, asked: Asked) -> None:
        """Ask the server for the whole: the parts that are stored are none of it any more."""


class NotValidated(UpstreamError):
    """A response that must be validated could not be (RFC 9111 section 5.2.2.2)."""

    status = 504
    error_type = "connection_timeout"


class SharedFailure(UpstreamError):
    """The request that this one waited for was answered with an error."""

    error_type = "http_response_incomplete"
