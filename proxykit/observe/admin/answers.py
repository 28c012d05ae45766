"""Resources that answer JSON, also when something is wrong."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import attrs
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from ...message.media_types import media_type
from ...options import Options
from .control import Refused

_log = Logger()

Handler = Callable[[Any], Any]
"""Takes a request and gives what becomes JSON, or bytes that are sent as they are, at once or as an
awaitable; may raise ``Refused``."""

Model = TypeVar("Model", bound=Options)

_FIELDS = (
    (b"Cache-Control", b"no-store"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Referrer-Policy", b"no-referrer"),
)


def set_fields(request: IRequest, content_type: bytes) -> None:
    """Set the fields that every answer has."""
    request.setHeader(b"Content-Type", content_type)
    request.setHeader(b"Server", b"proxykit")
    for name, value in _FIELDS:
        request.setHeader(name, value)


def json_of(value: Any) -> bytes:
    """Write values of ``control``, or what is made of them, as JSON."""
    return json.dumps(value, default=_plain).encode("ascii") + b"\n"


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        return {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
    raise TypeError(f"{type(value)} is no value of the API")


class ErrorAnswer(Resource):
    """Answers that something is wrong."""

    isLeaf = True

    def __init__(self, status: int, message: str, fields: Mapping[bytes, bytes] = {}) -> None:
        """Say what.

        :param fields: further fields of the answer.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._status = status
        self._message = message
        self._fields = fields

    def render(self, request: Any) -> bytes:
        """Answer, whatever the method."""
        request.setResponseCode(self._status, HTTPStatus(self._status).phrase.encode("ascii"))
        set_fields(request, b"application/json")
        for name, value in self._fields.items():
            request.setHeader(name, value)
        return json_of({"error": self._message})


class Branch(Resource):
    """Only has children; anything else is a 404."""

    def __init__(self) -> None:
        """Begin without children."""
        super().__init__()  # type: ignore[no-untyped-call]

    def getChild(self, path: bytes, request: Any) -> Resource:
        """There is no such child."""
        return no_such_thing()

    def render(self, request: Any) -> bytes:
        """There is nothing here either."""
        return no_such_thing().render(request)


def no_such_thing() -> ErrorAnswer:
    """Give what answers 404."""
    return ErrorAnswer(404, "there is no such thing here; docs/admin.md says what there is")


class Call(Branch):
    """One call of the API: what there is to get, and what can be posted."""

    def __init__(self, get: Handler | None = None, post: Handler | None = None) -> None:
        """Take what answers each method, ``None`` where it is not allowed."""
        super().__init__()
        self._handlers = {b"GET": get, b"POST": post}

    def render(self, request: Any) -> Any:
        """Call the handler."""
        method = b"GET" if request.method == b"HEAD" else request.method
        handler = self._handlers.get(method)
        if handler is None:
            allowed = [name for name, each in self._handlers.items() if each is not None]
            fields = {b"Allow": b", ".join(allowed)}
            return ErrorAnswer(405, "this method is not for this", fields).render(request)
        Deferred.fromCoroutine(_answer(request, handler)).addErrback(_failed, request)
        return NOT_DONE_YET


async def _answer(request: Any, handler: Handler) -> None:
    gone: list[object] = []
    request.notifyFinish().addErrback(gone.append)
    try:
        value = handler(request)
        if isinstance(value, Awaitable):
            value = await value
        if not gone:
            content = value if isinstance(value, bytes) else json_of(value)
            if not isinstance(value, bytes):
                set_fields(request, b"application/json")
    except Refused as refused:
        if not gone:
            content = ErrorAnswer(refused.status, str(refused)).render(request)
    if not gone:
        request.setHeader(b"Content-Length", b"%d" % len(content))
        request.write(b"" if request.method == b"HEAD" else content)
        request.finish()


def _failed(failure: Failure, request: Any) -> None:
    _log.failure("the admin API failed", failure=failure)
    if not request._disconnected and not request.finished:
        content = ErrorAnswer(500, "this failed inside; the log says how").render(request)
        request.write(content)
        request.finish()


def argument(request: Any, name: str, default: str | None = None) -> str:
    """Give an argument of a request's query.

    :raises Refused: when it is missing and has no default, or is no text.
    """
    values = request.args.get(name.encode("ascii"))
    if not values:
        if default is None:
            raise Refused(f"{name} is missing in the query")
        return default
    try:
        text: str = values[-1].decode("utf-8")
    except UnicodeDecodeError:
        raise Refused(f"{name} is not UTF-8") from None
    return text


def number(request: Any, name: str, default: int, most: int) -> int:
    """Give an argument that is a number from 1 on.

    :raises Refused: when it is none, or more than there may be.
    """
    text = argument(request, name, str(default))
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(most))
    if not is_number or not 1 <= int(text) <= most:
        raise Refused(f"{name} must be a number from 1 to {most}")
    return int(text)


def posted(request: Any, model: type[Model]) -> Model:
    """Give what was posted.

    :raises Refused: for all that is wrong with it.
    """
    if media_type(request.getHeader(b"content-type") or b"") != "application/json":
        raise Refused("the content must be application/json", 415)
    try:
        return model.model_validate_json(request.content.read())
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, each['loc'])) or 'the content'}: {each['msg']}"
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise Refused("; ".join(problems[:20])) from None
