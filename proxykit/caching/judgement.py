"""What may become of a response to a cache's own request: who may have it, and who may keep it."""

from __future__ import annotations

from attrs import evolve, frozen

from ..message.framing import Length, NoContent
from ..message.response import Response
from .answering import Asked
from .heads import make_head
from .policy import judge
from .stored import StoredHead


@frozen(slots=True, eq=False)
class Judgement:
    """What a response's head says of it.

    :ivar head: what would be stored of it, ``None`` for a part of something whose whole length is
        not known.
    :ivar dropped: fields that are not stored with it, in lower case.
    :ivar size: of its content in bytes, ``None`` when that is not known.
    :ivar shareable: whether the exchanges that wait for it may have it, stored or not.
    :ivar too_large: whether it is known to be larger than what may be stored.
    :ivar storable: whether it may be stored.
    """

    head: StoredHead | None
    dropped: frozenset[bytes]
    size: int | None
    shareable: bool
    too_large: bool
    storable: bool

    @classmethod
    def of(
        cls,
        asked: Asked,
        response: Response,
        requested_at: float,
        responded_at: float,
        max_object_size: int,
    ) -> Judgement:
        """Judge a response by what it was asked for.

        :param requested_at: when it was asked for, in seconds since 1970.
        :param responded_at: when it came.
        :param max_object_size: what is larger is not stored, in bytes.
        """
        values = response.section.values
        verdict = judge(asked.facts, response.status, values, asked.rules, responded_at)
        head = make_head(asked, response, verdict, requested_at, responded_at)
        size = _size(response)
        too_large = size is not None and size > max_object_size
        return cls(
            head,
            verdict.dropped,
            size,
            shareable=verdict.shareable,
            too_large=too_large,
            storable=not (verdict.reason or too_large),
        )


def is_for_nobody_else(asked: Asked, response: Response, now: float) -> bool:
    """Say whether a response would not be stored for a request without a cookie either.

    :param response: one that is not stored for the request as it is.
    :param now: when it came, in seconds since 1970.
    """
    facts = asked.facts
    if b"cookie" not in facts.values:
        return True
    bare = evolve(facts, values={})
    return bool(judge(bare, response.status, response.section.values, asked.rules, now).reason)


def _size(response: Response) -> int | None:
    """Give the size of a response's content, ``None`` when that is not known."""
    if isinstance(response.framing, NoContent):
        return 0
    return response.framing.size if isinstance(response.framing, Length) else None
