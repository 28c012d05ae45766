"""The calls of the API, ``/api/...``: each reads what is asked, and asks ``Control``."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator
from twisted.logger import Logger
from twisted.web.resource import Resource

from ...options import Options
from .answers import Branch, Call, argument, number, posted
from .control import Control, Purge, Refused, WarmUp

_log = Logger()

_MOST_ENTRIES = 1000
_USUAL_ENTRIES = 100
MOST_URLS = 10_000

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Url = Annotated[str, Field(min_length=1, max_length=8192)]


class Drain(Options):
    """What is posted to drain a server."""

    pool: _Name
    server: _Name
    drained: bool = True


class Weight(Options):
    """What is posted to change a server's weight."""

    pool: _Name
    server: _Name
    weight: float = Field(ge=0, le=65535, allow_inf_nan=False)


class PurgeOptions(Options):
    """What is posted to purge."""

    url: _Url | None = None
    prefix: _Url | None = None
    tag: _Name | None = None
    all: bool = False
    soft: bool = False

    @model_validator(mode="after")
    def _one_thing(self) -> PurgeOptions:
        given = [self.url is not None, self.prefix is not None, self.tag is not None, self.all]
        if sum(given) != 1:
            raise ValueError("say one of url, prefix, tag and all")
        return self


class Offline(Options):
    """What is posted to have a cache answer without servers."""

    offline: bool = True


class WarmUpOptions(Options):
    """What is posted to warm a cache up."""

    urls: Annotated[list[_Url], Field(min_length=1, max_length=MOST_URLS)]
    listener: _Name | None = None
    cache: _Name | None = None
    headers: dict[str, str] = Field(default={}, max_length=32)
    concurrency: int = Field(default=4, ge=1, le=32)


def api(control: Control) -> Resource:
    """Make the tree below ``/api/``."""
    calls = _Calls(control)
    servers = Call(lambda _: {"pools": control.pools()})
    servers.putChild(b"drain", Call(post=calls.drain))
    servers.putChild(b"weight", Call(post=calls.weight))
    root = Branch()
    root.putChild(b"status", Call(lambda _: control.status()))
    root.putChild(b"servers", servers)
    root.putChild(b"caches", _Caches(control))
    root.putChild(b"reload", Call(post=calls.reload))
    root.putChild(b"warm", _WarmUps(control))
    return root


class _Calls:
    """What changes something is logged."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def drain(self, request: Any) -> Any:
        asked = posted(request, Drain)
        self._control.drain(asked.pool, asked.server, drained=asked.drained)
        return asked.model_dump()

    def weight(self, request: Any) -> Any:
        asked = posted(request, Weight)
        self._control.set_weight(asked.pool, asked.server, asked.weight)
        _log.info("admin: server {server} of the pool {pool} weighs {weight}", **asked.model_dump())
        return asked.model_dump()

    def reload(self, request: Any) -> Any:
        problems = self._control.reload()
        if problems:
            raise Refused("\n".join(problems), 422)
        return {"reloaded": True}


class _Caches(Call):
    """``/api/caches``, and what is below it by a cache's name."""

    def __init__(self, control: Control) -> None:
        super().__init__(self._list)
        self._control = control

    async def _list(self, request: Any) -> Any:
        return {"caches": await self._control.caches()}

    def getChild(self, path: bytes, request: Any) -> Resource:
        name = path.decode("utf-8", "replace")
        control = self._control

        async def entries(request: Any) -> Any:
            limit = number(request, "limit", _USUAL_ENTRIES, _MOST_ENTRIES)
            return await control.entries(name, argument(request, "prefix", ""), limit)

        async def entry(request: Any) -> Any:
            return await control.entry(name, argument(request, "url"))

        async def purge(request: Any) -> Any:
            asked = posted(request, PurgeOptions)
            count = await control.purge(name, Purge(**asked.model_dump()))
            _log.info("admin: {count} responses of the cache {name} purged", count=count, name=name)
            return {"purged": count, "soft": asked.soft}

        def offline(request: Any) -> Any:
            asked = posted(request, Offline)
            control.set_offline(name, offline=asked.offline)
            state = "offline" if asked.offline else "online again"
            _log.info("admin: the cache {name} is {state}", name=name, state=state)
            return {"cache": name, "offline": asked.offline}

        cache = Branch()
        cache.putChild(b"entries", Call(entries))
        cache.putChild(b"entry", Call(entry))
        cache.putChild(b"purge", Call(post=purge))
        cache.putChild(b"offline", Call(post=offline))
        return cache


class _WarmUps(Call):
    """``/api/warm``, and each warm-up below it by its number."""

    def __init__(self, control: Control) -> None:
        super().__init__(post=self._begin)
        self._control = control

    def _begin(self, request: Any) -> Any:
        asked = posted(request, WarmUpOptions)
        begun = self._control.warm(
            WarmUp(
                asked.urls,
                asked.listener,
                asked.cache,
                tuple(asked.headers.items()),
                asked.concurrency,
            )
        )
        request.setResponseCode(202)
        return begun

    def getChild(self, path: bytes, request: Any) -> Resource:
        return Call(lambda _: self._control.warm_up(path.decode("utf-8", "replace")))
