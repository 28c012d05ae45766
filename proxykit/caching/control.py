"""What an operator does to a cache while it runs: purging, by key, by prefix and by tag."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, gatherResults, succeed

from ..engine.cache import Answerable
from ..errors import Denied
from ..message.response import Response
from ..options import IPNetwork, contains
from .shared import SharedCache
from .tags import tags_of


@frozen(slots=True, eq=False)
class Purger:
    """Answers PURGE.

    ``PURGE /x`` forgets what is stored for that URI, a target that ends in ``*`` all that begin
    so, and one with Surrogate-Key or Cache-Tag all that carry one of those. With ``Soft-Purge: 1``
    it is only made stale.

    :ivar allowed: the networks of the clients that may.
    """

    shared: SharedCache
    allowed: tuple[IPNetwork, ...]

    def purge(self, relay: Answerable, key: bytes) -> None:
        """Do what a request asks for, and answer it.

        :param key: of its target.
        :raises Denied: when its client may not.
        """
        exchange = relay.exchange
        # Both must be allowed: what a trusted proxy says of its client, and the proxy itself if
        # it says nothing.
        if not contains(self.allowed, exchange.client_address):
            raise Denied("this client may not purge")
        values = exchange.request.section.values
        soft = values.get(b"soft-purge", b"").strip() in (b"1", b"true", b"?1")
        shared = self.shared
        tags = tags_of(values)
        results: list[Any]
        if tags:
            results = [shared.purge_tag(tag, soft=soft) for tag in sorted(tags)]
        elif key.endswith(b"*"):
            results = [shared.purge_prefix(key[:-1], soft=soft)]
        else:
            results = [shared.purge(key, soft=soft)]
        if all(isinstance(each, int) for each in results):
            relay.answer(_purged(sum(results), soft=soft))
            return
        waiting: Deferred[Any] = gatherResults(
            [succeed(each) if isinstance(each, int) else each for each in results],
            consumeErrors=True,
        )
        relay.wait(waiting, lambda counts: relay.answer(_purged(sum(counts), soft=soft)))


def _purged(count: int, *, soft: bool) -> Response:
    body = json.dumps({"purged": count, "soft": soft}).encode("ascii") + b"\n"
    fields = [(b"Content-Type", b"application/json"), (b"Cache-Control", b"no-store")]
    return Response(200, fields, body)
