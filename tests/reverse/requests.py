"""Exchanges as a router sees them, made from values."""

from __future__ import annotations

from twisted.internet import defer

from proxykit.engine.exchange import Exchange
from proxykit.engine.forwarding import Direction, ForwardingRules
from proxykit.engine.pipeline import Pipeline
from proxykit.message.fields import FieldSection
from proxykit.message.framing import NO_CONTENT
from proxykit.message.request import Request
from proxykit.upstream.resolution import Resolver

RULES = ForwardingRules(Direction.REVERSE, b"proxykit-test")
PIPELINE = Pipeline("reverse.a", lambda exchange: defer.succeed(None), RULES, Resolver(None))


def an_exchange(
    target="/", host="a.example", method="GET", client="192.0.2.1", scheme="http", **fields
):
    """Make an exchange; the names of fields are written with underscores."""
    section = FieldSection(
        (
            (b"Host", host.encode()),
            *(
                (name.replace("_", "-").encode(), value.encode("latin-1"))
                for name, value in fields.items()
            ),
        )
    )
    request = Request(method.encode(), target.encode(), 1, section, NO_CONTENT)
    return Exchange(PIPELINE, request, client, client, scheme, 0.0)
