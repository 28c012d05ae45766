"""Files of a folder as a route's answers: ranges, conditional requests, and no way out of it.

The way of a path to a file: it is normalised as routes see it (``message.path``), its segments are
percent-decoded once, and what names no file by then is not found: a slash or a NUL in a segment, a
dot in front unless that is allowed. The file's real path (symbolic links followed) must lie
beneath the folder's, and it is opened from the folder down, a segment at a time, without following
a link: what is opened is what was judged, whatever happens on the disk in between.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from email.utils import formatdate
from functools import partial
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import unquote_to_bytes

from attrs import frozen

from ..engine.answers import error_answer
from ..engine.exchange import Exchange
from ..errors import Denied, MethodNotAllowed, NoRoute
from ..message.file_types import file_type
from ..message.path import normalised_path
from ..message.preconditions import FieldOf, Outcome, Validators, judge, range_is_wanted
from ..message.ranges import ByteRange, NotSatisfiable, byte_range
from ..message.response import Response
from .conditions import field_value
from .file_source import FileSource
from .templates import Rewrite, one_leading_slash

_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe that lies in the folder would wait for its other end.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_NO_SUCH_FILE = frozenset({errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV})


@frozen(slots=True)
class StaticOptions:
    """How files are served.

    :ivar index: names of the file that stands for its folder, tried in this order.
    :ivar dotfiles: whether files and folders are served whose name begins with a dot.
    :ivar charset: of texts; ``""`` to leave it unsaid.
    :ivar cache_control: the field of that name; ``""`` for none.
    :ivar fallback: the path of a file that is served where there is none; ``""`` for 404.
    """

    index: tuple[str, ...] = ("index.html",)
    dotfiles: bool = False
    charset: str = "utf-8"
    cache_control: str = ""
    fallback: str = ""


class StaticFiles:
    """Answers with the files of a folder."""

    def __init__(
        self, root: Path, options: StaticOptions, rewrite: Rewrite | None, reactor: Any
    ) -> None:
        """Serve a folder; that it is there is looked at for each request anew.

        :param root: may be a symbolic link, which is followed for each request: a site is
            deployed by changing it.
        :param rewrite: what the route does to targets.
        """
        self._root = os.fsencode(root)
        self._options = options
        self._rewrite = rewrite
        self._reactor = reactor
        self._index = tuple(os.fsencode(name) for name in options.index)

    def answer(self, exchange: Exchange) -> Response:
        """Make the response to an exchange; see ``engine.pipeline.Route.answer``.

        :raises NoRoute: when there is no such file.
        :raises Denied: when it may not be read.
        """
        request = exchange.request
        if request.method not in (b"GET", b"HEAD"):
            return _method_not_allowed(exchange)
        target = request.origin_target
        if self._rewrite is not None:
            target = self._rewrite(target)
        path = normalised_path(target.partition(b"?")[0].decode("ascii"))
        if path == "/" and not request.path.endswith("/"):
            return _with_slash(exchange)  # nothing but a prefix was asked for
        try:
            return self._found(exchange, path)
        except NoRoute:
            if not self._options.fallback:
                raise
            return self._found(exchange, self._options.fallback)

    def _found(self, exchange: Exchange, path: str) -> Response:
        segments = _segments(path, dotfiles=self._options.dotfiles)
        descriptor = _open_beneath(self._root, segments)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                if not path.endswith("/"):
                    return _with_slash(exchange)
                os.close(descriptor)
                descriptor = -1
                descriptor, status, name = self._open_index(segments)
            elif path.endswith("/"):
                raise _no_file()
            else:
                name = segments[-1]
            if not stat.S_ISREG(status.st_mode):
                raise _no_file()
            response = self._respond(exchange, descriptor, status, name)
            if response.source is not None:
                descriptor = -1  # it is the source's now
            return response
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _open_index(self, segments: Sequence[bytes]) -> tuple[int, os.stat_result, bytes]:
        for name in self._index:
            try:
                descriptor = _open_beneath(self._root, [*segments, name])
            except NoRoute:
                continue
            return descriptor, os.fstat(descriptor), name
        raise _no_file()

    def _respond(
        self, exchange: Exchange, descriptor: int, status: os.stat_result, name: bytes
    ) -> Response:
        request = exchange.request
        field_of: FieldOf = partial(field_value, request)
        now = time()
        size = status.st_size
        validators = _validators(status, now)
        headers = self._headers(validators)
        outcome = judge(field_of, validators)
        if outcome is Outcome.NOT_MODIFIED:
            return Response(304, headers)
        if outcome is Outcome.FAILED:
            return Response(412, headers)
        headers.append((b"Accept-Ranges", b"bytes"))
        part = None
        if request.method == b"GET" and range_is_wanted(field_of, validators, now):
            try:
                part = byte_range(field_of(b"range"), size)
            except NotSatisfiable:
                return Response(416, [*headers, (b"Content-Range", b"bytes */%d" % size)])
        headers.append((b"Content-Type", file_type(os.fsdecode(name), self._options.charset)))
        if part is not None:
            headers.append((b"Content-Range", part.content_range(size)))
        wanted = part or ByteRange(0, size)
        source = FileSource(self._reactor, descriptor, wanted.start, wanted.size)
        return Response(200 if part is None else 206, headers, source=source)

    def _headers(self, validators: Validators) -> list[tuple[bytes, bytes]]:
        """Give the fields that a 304 has too (RFC 9110 section 15.4.5)."""
        headers = [
            (b"ETag", validators.entity_tag),
            (b"Last-Modified", formatdate(validators.modified, usegmt=True).encode("ascii")),
        ]
        if self._options.cache_control:
            headers.append((b"Cache-Control", self._options.cache_control.encode("ascii")))
        return headers


def _segments(path: str, *, dotfiles: bool) -> list[bytes]:
    """Give the names that a normalised path consists of.

    :raises NoRoute: when one of them is no file's name, or is hidden.
    """
    segments = [unquote_to_bytes(segment) for segment in path.split("/") if segment]
    if not path.startswith("/"):
        raise _no_file()
    for number, segment in enumerate(segments):
        if b"/" in segment or b"\0" in segment or segment in (b".", b".."):
            raise _no_file()
        # /.well-known/ (RFC 8615) is there to be seen; certificates are asked for through it.
        hidden = segment.startswith(b".") and not (number == 0 and segment == b".well-known")
        if hidden and not dotfiles:
            raise _no_file()
    return segments


def _open_beneath(root: bytes, segments: Sequence[bytes]) -> int:
    """Open a file or folder that lies in another, links followed as long as they stay inside.

    :returns: its descriptor.
    :raises NoRoute: when there is none, or it lies outside.
    :raises Denied: when the system does not let us.
    """
    real_root = os.path.realpath(root)
    inside = os.path.join(real_root, b"")
    real = os.path.realpath(os.path.join(real_root, *segments))
    if real == real_root:
        names = []
    elif real.startswith(inside):
        names = real[len(inside) :].split(b"/")
    else:
        raise _no_file()
    try:
        descriptor = os.open(real_root, _FOLDER)
        for number, name in enumerate(names, 1):
            outer = descriptor
            try:
                flags = _FILE if number == len(names) else _FOLDER
                descriptor = os.open(name, flags, dir_fd=outer)
            finally:
                os.close(outer)
    except PermissionError:
        raise Denied("this file may not be read") from None
    except (FileNotFoundError, NotADirectoryError):
        raise _no_file() from None
    except OSError as error:
        # A link that leads round in a circle, a name that is too long, a socket.
        if error.errno in _NO_SUCH_FILE:
            raise _no_file() from None
        raise
    return descriptor


def _no_file() -> NoRoute:
    return NoRoute("there is no such file")


def _validators(status: os.stat_result, now: float) -> Validators:
    tag = b'"%x-%x"' % (status.st_mtime_ns, status.st_size)
    # RFC 9110 section 8.8.2.1: never later than the response's Date.
    return Validators(tag, min(int(status.st_mtime), int(now)))


def _with_slash(exchange: Exchange) -> Response:
    """Send the client from a folder's name to the folder, so that relative references hold."""
    path, mark, query = exchange.request.origin_target.decode("ascii").partition("?")
    path = one_leading_slash(normalised_path(path, keep_encoded_slashes=True))
    return Response(301, [(b"Location", f"{path}/{mark}{query}".encode("ascii"))])


def _method_not_allowed(exchange: Exchange) -> Response:
    error = MethodNotAllowed("files can be read, and nothing else")
    exchange.error_type = error.error_type
    exchange.detail = str(error)
    proxy = exchange.pipeline.rules.pseudonym.decode("ascii")
    response = error_answer(error, exchange, proxy)
    response.headers.add(b"Allow", b"GET, HEAD")
    return response
