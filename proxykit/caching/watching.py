"""Watches the responses that pass a cache by: what they say of what it has stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from attrs import frozen

from ..engine.cache import Answerable
from ..message.response import Response
from .answering import Asked
from .invalidation import changed_uris, is_error
from .status import forwarded
from .storage import Storage
from .stored import StoredHead, StoredResponse
from .validation import same_validators


@frozen(slots=True, eq=False)
class Watching:
    """Watches exchanges that a cache did not take; each gets a Cache-Status that says why.

    :ivar namespace: of the cache's keys: see ``caching.keys``.
    :ivar clock: gives the seconds since 1970.
    """

    storage: Storage
    namespace: bytes
    clock: Callable[[], float]

    def passed(self, relay: Answerable, why: bytes) -> None:
        """Watch an exchange whose response changes nothing.

        :param why: a value of RFC 9211 section 2.2.
        """
        relay.watch = partial(_say, relay, why)

    def head(
        self, relay: Answerable, asked: Asked, matching: Sequence[StoredResponse], why: bytes
    ) -> None:
        """Watch a HEAD that is about to be sent.

        :param matching: stored responses that could have been chosen for it.
        """
        moment = self.storage.shared.moment()
        relay.watch = partial(self._head_answered, relay, asked, matching, why, moment)

    def unsafe(self, relay: Answerable, key: bytes) -> None:
        """Watch a request of a method that is not safe.

        :param key: of its URI.
        """
        relay.watch = partial(self._unsafe_answered, relay, key)

    def _head_answered(
        self,
        relay: Answerable,
        asked: Asked,
        matching: Sequence[StoredResponse],
        why: bytes,
        moment: int,
        response: Response,
    ) -> None:
        """Update or give up what is stored by a HEAD's response (RFC 9111 section 4.3.5)."""
        storage = self.storage
        now = self.clock()
        for stored in matching if response.status == 200 else ():
            if storage.shared.purged_since(moment, asked.stored_key, stored.head.tags):
                continue
            if _is_updated_by_head(stored.head, response):
                storage.freshen(asked, (stored,), response, now, now, moment)
            else:
                storage.store.update(asked.stored_key, stored, stored.head.expired(now))
        _say(relay, why, response)

    def _unsafe_answered(self, relay: Answerable, key: bytes, response: Response) -> None:
        """Invalidate what an unsafe request has changed (RFC 9111 section 4.4)."""
        if not is_error(response.status):
            for changed in changed_uris(key, self.namespace, response.section.values):
                self.storage.shared.purge(changed, soft=False)
        _say(relay, b"method", response)


def _is_updated_by_head(stored: StoredHead, response: Response) -> bool:
    """Say whether a HEAD's response is of what is stored (RFC 9111 section 4.3.5).

    "Matching values for any received validator fields" is what it takes, and the length, if that
    was received: a response without any of them updates what is stored, whatever that has. Of
    another status it would not have been the response to the GET.
    """
    values = response.section.values
    length = values.get(b"content-length")
    return (
        response.status == stored.status
        and (length is None or length == b"%d" % (stored.complete or 0))
        and same_validators(values, stored.section.values)
    )


def _say(relay: Answerable, why: bytes, response: Response) -> None:
    """Add Cache-Status to a response that passes the cache by."""
    name = relay.exchange.pipeline.rules.pseudonym
    response.headers.add(*forwarded(name, why))
