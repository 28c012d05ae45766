"""A filter of somebody else's: it makes the words of a response loud."""

from __future__ import annotations

from pydantic import Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from proxykit.interfaces import IBodyFilter, IFilterFactory, IResponseBodyFilter
from proxykit.options import Options


class ShoutOptions(Options):
    """What the configuration may say."""

    mark: str = Field(default="!", description="What stands behind the content.")


@implementer(IBodyFilter)
class Loud:
    """One response's content, in capitals."""

    def __init__(self, mark):
        self._mark = mark.encode()

    def feed(self, chunk):
        return chunk.upper()

    def finish(self):
        return self._mark


@implementer(IResponseBodyFilter)
class Shout:
    """Puts ``Loud`` on every text."""

    def __init__(self, options):
        self._mark = options.mark

    def response_body(self, exchange, response):
        content_type = response.headers.get(b"content-type", b"")
        return Loud(self._mark) if content_type.startswith(b"text/") else None


@implementer(IPlugin, IFilterFactory)
class ShoutFactory:
    """What Proxykit finds."""

    name = "shout"
    description = "makes texts loud"
    options = ShoutOptions

    def build(self, options, context):
        return Shout(options)
