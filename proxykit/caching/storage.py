"""What a cache stores of what comes, and updates by it, unless it was purged meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from attrs import evolve, frozen

from ..message.response import Response
from .answering import Asked
from .heads import freshened_head, may_stay
from .keys import SLICE
from .purging import Purged
from .shared import SharedCache
from .stored import StoredHead, StoredResponse
from .validation import entity_tag, is_strong, validates
from .variants import chosen_by, copy_into


@frozen(slots=True, eq=False)
class Storage:
    """The store of one cache, as those use it who ask servers.

    :ivar shared: the cache.
    """

    shared: SharedCache

    @property
    def store(self) -> Any:
        """The ``ICacheStore``."""
        return self.shared.store

    async def lookup(self, key: bytes) -> Sequence[StoredResponse]:
        """Look in a store that answers later, and again if something was stored meanwhile."""
        commits = self.shared.commits
        found: Sequence[StoredResponse] = ()
        for _ in range(2):
            asking = self.store.lookup(key)
            found = asking if isinstance(asking, Sequence) else await asking
            if not self.shared.committed_since(key, commits):
                break
        return found

    def purged_since(
        self, moment: int, asked: Asked, tags: frozenset[bytes] | None
    ) -> Purged | None:
        """See ``SharedCache.purged_since``; what was stored may stand for another key."""
        found = self.shared.purged_since(moment, asked.key, tags)
        if asked.stored_key != asked.key and (found is None or found.soft):
            return self.shared.purged_since(moment, asked.stored_key, tags) or found
        return found

    def commit(self, asked: Asked, head: StoredHead, writer: Any, moment: int) -> None:
        """Store a response whose content is complete.

        :param moment: when it was asked for: what was purged since is not stored, or is stale.
        """
        if head.terms.lifetime > head.initial_age and not head.terms.validated_only:
            self.shared.unmark_private(asked.key)
        else:
            # Nobody gains by waiting for what must be validated for each.
            self.shared.mark_private(asked.key)
        self.shared.aliases.note(asked.key, head.section.values.get(b"no-vary-search"))
        if head.span is not None and SLICE not in asked.key:
            self.shared.parts.put(asked.key, head, writer, partial(self._commit, asked, moment))
            return
        if head.span is None:
            head = evolve(head, complete=writer.body.size)
        self._commit(asked, moment, writer, head, lambda other: other.selecting == head.selecting)

    def _commit(
        self,
        asked: Asked,
        moment: int,
        writer: Any,
        head: StoredHead,
        replaces: Callable[[StoredHead], bool],
    ) -> None:
        """Commit what is stored; parts may have waited for others that were joined meanwhile."""
        purged = self.purged_since(moment, asked, head.tags)
        if purged is not None and not purged.soft:
            writer.abort()
            return
        if purged is not None:
            head = head.expired(head.responded_at)
        self.shared.note_commit(asked.key)
        writer.commit(head, replaces)

    def freshen(
        self,
        asked: Asked,
        candidates: Sequence[StoredResponse],
        response: Response,
        requested_at: float,
        responded_at: float,
        moment: int,
    ) -> StoredResponse | None:
        """Update what a 304 or a HEAD's response is about (RFC 9111 sections 4.3.4 and 4.3.5).

        :param moment: when it was asked for: what was purged since stays as the purge left it.
        :returns: what answers the request now, ``None`` when it is about nothing that is stored.
        """
        values = response.section.values
        chosen: StoredResponse | None = None
        for stored in candidates:
            if not validates(values, stored.head.section.values, only=len(candidates) == 1):
                continue
            head, storable = freshened_head(
                asked, stored.head, response, requested_at, responded_at
            )
            purged = self.shared.purged_since(moment, asked.stored_key, stored.head.tags)
            if purged is not None:
                stored = StoredResponse(head, stored.body)
            elif storable:
                if head.terms.lifetime > head.initial_age:
                    self.shared.unmark_private(asked.key)
                self.store.update(asked.stored_key, stored, head)
            else:
                # It may answer this once, for it was validated.
                if not may_stay(asked, head):
                    self.store.remove(asked.stored_key, stored)
                stored = StoredResponse(head, stored.body)
            if chosen is None and asked.matches(head):
                chosen = stored
            if not is_strong(entity_tag(values.get(b"etag"))):
                # Of those that a weak validator fits, only the most recent (section 4.3.4).
                break
        return chosen

    def choose(
        self,
        asked: Asked,
        variants: Sequence[StoredResponse],
        response: Response,
        requested_at: float,
        responded_at: float,
        moment: int,
    ) -> StoredResponse | None:
        """Take the variant that a 304 has chosen for a request that did not match it.

        It is stored for this request's fields as well, so that the next one like it is a hit. The
        one that was stored stays as it is: it could not have been chosen for this request (RFC
        9111 section 4.3.4).

        :returns: what answers the request, ``None`` when the 304 is about nothing that is stored.
        """
        stored = chosen_by(response.section.values, variants)
        if stored is None:
            return None
        head, storable = freshened_head(
            asked, stored.head, response, requested_at, responded_at, chosen=True
        )
        if storable:
            writer = copy_into(self.store, asked.key, stored)
            if writer is not None:
                self.commit(asked, head, writer, moment)
        return StoredResponse(head, stored.body)
