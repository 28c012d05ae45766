"""Shadow copies, as far as they can be seen without sockets."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock

from proxykit.filters.mirror import Mirror, MirrorOptions
from proxykit.message.fields import EMPTY_SECTION
from proxykit.options import BuildContext
from tests.filters.exchanges import exchange


def test_a_copy_that_is_over_holds_none_of_what_is_still_sent():
    """Its server may answer at once, and the original's content may go on for hours."""
    context = BuildContext(directory=Path(), reactor=Clock(), resolve=None, pool=lambda name: None)
    mirror = Mirror(MirrorOptions(pool="shadow"), context)
    shadow = mirror.tap(exchange())
    shadow.end_response(EMPTY_SECTION)

    shadow.feed(b"x" * 1000)

    assert not shadow._pending
    assert mirror.failed == 0
