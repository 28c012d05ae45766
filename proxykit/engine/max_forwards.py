"""Max-Forwards (RFC 9110 section 7.6.2): how far an OPTIONS or a TRACE may go."""

from __future__ import annotations

from ..errors import BadRequest
from ..message.request import Request
from ..message.response import Response

# RFC 9110 section 9.3.8: what a TRACE must not reflect.
_SECRETS = frozenset({b"authorization", b"cookie", b"proxy-authorization"})
_ALLOWED = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE"


def last_recipient(request: Request) -> Response | None:
    """Answer a request that may go no further, or count one step off it.

    :returns: the answer, ``None`` when the request goes on.
    :raises BadRequest: when the field is no number.
    """
    value = request.section.values.get(b"max-forwards")
    if value is None or request.method not in (b"OPTIONS", b"TRACE"):
        return None
    if not value.isdigit() or len(value) > 10:
        raise BadRequest("Max-Forwards is not a number")
    left = int(value)
    if left:
        request.headers.set(b"Max-Forwards", b"%d" % (left - 1))
        return None
    if request.method == b"OPTIONS":
        return Response(200, [(b"Allow", _ALLOWED)])
    lines = [b"TRACE %s HTTP/1.%d\r\n" % (request.raw_target, request.version)]
    lines += [
        b"%s: %s\r\n" % (name, field)
        for name, field in request.section.fields
        if name.lower() not in _SECRETS
    ]
    return Response(200, [(b"Content-Type", b"message/http")], b"".join(lines) + b"\r\n")
