"""Lists and requests in a line each, for tests."""

from __future__ import annotations

import io

from attrs import frozen

from proxykit.lists.blocking import Blocking, host_starts
from proxykit.lists.compiling import compile_lines
from proxykit.lists.names import site
from proxykit.lists.table import Table


def table(*lines, kind="blocklist"):
    """Make a table of lines, as the process of its own does."""
    file = io.BytesIO()
    encoded = [line if isinstance(line, bytes) else line.encode() for line in lines]
    compile_lines(kind, [line + b"\n" for line in encoded], file)
    return Table(file.getvalue())


@frozen
class Asked:
    """A request as rules see it."""

    url: str
    resource_type: str = "other"
    page_host: str = ""
    method: str = "get"

    @property
    def host(self):
        return self.url.split("/")[2].partition(":")[0].lower()

    @property
    def lower_url(self):
        return self.url.lower()

    @property
    def host_starts(self):
        return host_starts(self.url, self.host)

    @property
    def third_party(self):
        return site(self.page_host) != site(self.host) if self.page_host else None


def verdict(lists, asked):
    """Say what lists decide; each is a tuple of lines."""
    blocking = Blocking([(f"list{n}", table(*lines)) for n, lines in enumerate(lists)])
    found, stands = blocking.of_host(asked.host)
    if stands:
        return found
    steps = blocking.judge(asked)
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def blocks(lines, url, *more, **options):
    """Say whether lines block a URL."""
    found = verdict([lines if isinstance(lines, tuple) else (lines,)], Asked(url, *more, **options))
    return found is not None and found.exception is None
