"""What filters hold of content that comes in tiny pieces takes no more than its limit says."""

from __future__ import annotations

import tracemalloc
from contextlib import contextmanager
from pathlib import Path

from twisted.internet.task import Clock

from proxykit.filters.content.filtering import Filtering
from proxykit.filters.content.held import HeldContent, Limits, Room
from proxykit.filters.content.workers import Workers
from proxykit.filters.mirror import MirrorFactory, MirrorOptions
from proxykit.options import BuildContext
from tests.filters.exchanges import exchange

PIECES = 100_000
KIB = 1024


@contextmanager
def taking_at_most(size):
    """Check how much more memory is in use at the end."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[0] < size
    finally:
        tracemalloc.stop()


def pieces():
    return (b"%02d" % (number % 100) for number in range(PIECES))


def test_content_that_a_server_sends_in_pieces_of_two_bytes():
    limits = Limits(2 * PIECES, 1.0, Room(2 * PIECES))
    with taking_at_most(512 * KIB):
        held = HeldContent(Filtering((), "", None, {}), limits, Workers(Clock()), "a page")
        assert not any(held.feed(piece) for piece in pieces())

    assert held.feed(b"x") == b"".join(pieces()) + b"x"
    assert limits.room.left == 2 * PIECES


def test_content_of_a_copy_that_a_client_sends_in_pieces_of_two_bytes():
    context = BuildContext(Path(), Clock(), resolve=None, pool=lambda name: None)
    options = MirrorOptions(pool="shadow", buffer_size=2 * PIECES)
    mirror = MirrorFactory().build(options, context)
    original = exchange("/", "Transfer-Encoding: chunked", method="POST")
    with taking_at_most(512 * KIB):
        copy = mirror.tap(original)
        for piece in pieces():
            copy.feed(piece)

    assert mirror.failed == 0
    copy.feed(b"x")
    assert mirror.failed == 1
