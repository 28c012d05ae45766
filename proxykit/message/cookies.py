"""Cookies (RFC 6265): one read out of a request, one read out of a response."""

from __future__ import annotations

from collections.abc import Callable

from .request import Request
from .response import Response


def cookie_reader(name: bytes) -> Callable[[Request], bytes | None]:
    """Give what reads one cookie out of requests.

    :param name: the cookie's name, a token; it is case-sensitive (RFC 6265 section 4.1.1).
    :returns: a function that gives the value of the first cookie of that name, ``None`` when there
        is none or it is empty.
    """
    start = name + b"="
    skipped = len(start)

    def read(request: Request) -> bytes | None:
        headers = request.changed_headers
        if headers is None:
            value = request.section.values.get(b"cookie")
        else:
            value = headers.get(b"cookie")
        if value is None:
            return None
        at = value.find(start)
        while at >= 0:
            if at == 0 or value[at - 2 : at] == b"; " or _begins_cookie(value, at):
                end = value.find(b";", at)
                found = value[at + skipped :] if end < 0 else value[at + skipped : end]
                return found.strip(b" \t") or None
            at = value.find(start, at + 1)
        return None

    return read


def _begins_cookie(value: bytes, at: int) -> bool:
    """Say whether a cookie begins there, behind something that is not quite as RFC 6265 has it."""
    before = at - 1
    while before >= 0 and value[before] in b" \t":
        before -= 1
    # A comma parts cookies too, for that is how several Cookie fields were put together.
    return before < 0 or value[before] in b";,"


def cookie_that_is_set(response: Response, name: bytes) -> bytes | None:
    """Give the value that a response sets a cookie to (RFC 6265 section 4.1).

    :returns: that of the last Set-Cookie of that name, which is the one that clients keep; ``None``
        when there is none or it is empty.
    """
    headers = response.changed_headers
    if headers is None and b"set-cookie" not in response.section.values:
        return None
    value: bytes | None = None
    for field, text in response.section.fields if headers is None else headers:
        if field.lower() == b"set-cookie":
            pair = text.partition(b";")[0]
            each, mark, content = pair.partition(b"=")
            if mark and each.strip(b" \t") == name:
                value = content.strip(b" \t")
    return value or None
