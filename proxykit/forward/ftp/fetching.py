"""The conversation with an FTP server: log in, go there, fetch the file or the listing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from ...errors import ProxykitError, Unavailable, UpstreamError
from ...message.fields import FieldSection
from ...message.ranges import ByteRange
from .control import ControlConnection, Reply
from .listing import Entry, modification_time, read_list, read_mlsd
from .place import Credentials, Place
from .transfer import DataConnection, FtpSource

# A directory is held whole, for it is sorted. Larger ones are cut.
_LARGEST_LISTING = 4 * 1024 * 1024
_MOST_ENTRIES = 20_000
# RFC 959 section 4.2.1, and RFC 3659 for the commands that came later.
_UNKNOWN_COMMAND = frozenset({500, 501, 502, 504})
_BUSY = frozenset({421, 425, 450, 452})
_FORBIDDEN_WORDS = ("denied", "permission", "not permitted", "not allowed", "forbidden")


class Refused(Exception):
    """The server does not give what was asked for: an answer of the origin's, not a fault.

    :ivar status: what it is in HTTP: 401, 403 or 404.
    :ivar text: what the server says.
    """

    def __init__(self, status: int, text: str) -> None:
        """Take the answer."""
        super().__init__(text)
        self.status = status
        self.text = text


class IsDirectory(Exception):
    """What was asked for as a file is a directory."""


@frozen(slots=True)
class FileStatus:
    """What is known of a file before it is fetched.

    :ivar size: in bytes, ``None`` if the server does not say.
    :ivar modified: seconds since 1970, or ``None``.
    """

    size: int | None
    modified: int | None


@frozen(slots=True)
class Listing:
    """A directory.

    :ivar is_cut: whether it has more entries than these.
    """

    entries: tuple[Entry, ...]
    is_cut: bool


class Session:
    """A server that was logged in to, for one request."""

    def __init__(
        self,
        name: str,
        control: ControlConnection,
        connect: Callable[[str, int, Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        """Take a connection.

        :param name: the server's, for messages.
        :param connect: connects to a port of an address, for a transfer.
        """
        self._name = name
        self._control = control
        self._connect = connect

    def abort(self) -> None:
        """Close at once."""
        self._control.abort()

    def quit(self) -> None:
        """Say goodbye and close."""
        self._control.quit()

    async def log_in(self, credentials: Credentials) -> None:
        """Log in (RFC 959 section 5.4).

        :raises Refused: with 401, when these credentials do not do.
        """
        reply = await self._control.greeted
        if not reply.is_fine:
            raise self._failure(reply)
        reply = await self._control.ask(f"USER {credentials.user}")
        if reply.code == 331:
            reply = await self._control.ask(f"PASS {credentials.password}")
        if reply.code in (331, 332, 530):
            raise Refused(401, reply.text)
        if not reply.is_fine:
            raise self._failure(reply)

    async def enter(self, place: Place) -> None:
        """Change into the directories of a place, and set the type.

        :raises Refused: when there is no such directory.
        """
        for name in place.directories:
            reply = await self._control.ask(f"CWD {name}")
            if not reply.is_fine:
                raise self._refusal(reply)
        kind = "A" if place.type == "a" else "I"
        reply = await self._control.ask(f"TYPE {kind}")
        if not reply.is_fine:
            raise self._failure(reply)

    async def status(self, place: Place) -> FileStatus:
        """Look at the file of a place.

        :raises IsDirectory: when it is a directory.
        """
        control = self._control
        if place.type == "a":
            return FileStatus(None, None)  # its size depends on how lines end there
        reply = await control.ask(f"SIZE {place.name}")
        if reply.code == 213 and reply.text.strip().isdigit():
            size = int(reply.text.strip()[:18])
            reply = await control.ask(f"MDTM {place.name}")
            return FileStatus(size, modification_time(reply.text) if reply.code == 213 else None)
        if not reply.is_fine and reply.code not in _UNKNOWN_COMMAND:
            await self._check_no_directory(place.name)
        return FileStatus(None, None)

    async def file(
        self, place: Place, size: int | None, part: ByteRange | None
    ) -> tuple[FtpSource, ByteRange | None]:
        """Begin to fetch a file.

        :param size: of it, ``None`` when it is not known.
        :param part: what is wanted of it, ``None`` for all.
        :returns: its content; and what that is of it, which is all where the server cannot begin
            in the middle.
        :raises Refused: when there is none, or it may not be read.
        :raises IsDirectory: when it is a directory.
        """
        data = await self._data()
        try:
            if part is not None and part.start:
                reply = await self._control.ask(f"REST {part.start}")
                part = part if reply.code == 350 else None
            ended = await self._begun(f"RETR {place.name}")
            if isinstance(ended, Reply):
                if ended.code == 550:
                    await self._check_no_directory(place.name)
                raise self._refusal(ended)
        except BaseException:
            data.abort()
            raise
        if part is None:
            return FtpSource(self._name, self._control, data, ended, size), None
        is_cut = size is not None and part.start + part.size < size
        source = FtpSource(self._name, self._control, data, ended, part.size, is_cut=is_cut)
        return source, part

    async def listing(self) -> Listing:
        """Fetch the listing of the directory that was entered.

        :raises Refused: when it may not be read.
        """
        read = read_mlsd
        source = await self._listing_source("MLSD")
        if isinstance(source, Reply) and source.code in _UNKNOWN_COMMAND:
            read = read_list
            source = await self._listing_source("LIST")
        if isinstance(source, Reply):
            raise self._refusal(source)
        content, is_cut = await _gathered(source)
        return _listing(read(content), is_cut=is_cut)

    async def _listing_source(self, command: str) -> FtpSource | Reply:
        data = await self._data()
        try:
            ended = await self._begun(command)
        except BaseException:
            data.abort()
            raise
        if isinstance(ended, Reply):
            data.abort()
            return ended
        return FtpSource(self._name, self._control, data, ended, None)

    async def _begun(self, command: str) -> Deferred[Reply] | Reply:
        """Begin a transfer; give what fires at its end, or the reply that there is none."""
        marked, ended = self._control.begin(command)
        reply = await marked
        return ended if reply.is_mark or reply.is_fine else reply

    async def _data(self) -> DataConnection:
        port = await self._control.passive_port()
        connection: DataConnection = await self._connect(self._control.peer, port, DataConnection)
        return connection

    async def _check_no_directory(self, name: str) -> None:
        reply = await self._control.ask(f"CWD {name}")
        if reply.is_fine:
            raise IsDirectory

    def _refusal(self, reply: Reply) -> Exception:
        """Say what it means that a name was refused.

        RFC 959 has one code, 550, for what is not there and for what is not ours to have.
        """
        if reply.code in (550, 553, 532, 450):
            text = reply.text.lower()
            forbidden = reply.code in (532, 553) or any(word in text for word in _FORBIDDEN_WORDS)
            return Refused(403 if forbidden else 404, reply.text)
        return self._failure(reply)

    def _failure(self, reply: Reply) -> ProxykitError:
        kind = Unavailable if reply.code in _BUSY else UpstreamError
        return kind(f"{self._name} said {reply.code}: {reply.text}")


def _gathered(source: FtpSource) -> Deferred[tuple[bytes, bool]]:
    """Take what comes; give it, and whether it is cut."""
    gathering = _Gathering(source)
    source.start(gathering)
    return gathering.done


class _Gathering:
    """Takes content and holds it; see ``message.source.ContentTaker``."""

    def __init__(self, source: FtpSource) -> None:
        self._source = source
        self._content = bytearray()
        self.done: Deferred[tuple[bytes, bool]] = Deferred()

    def content_received(self, data: bytes) -> None:
        self._content += data
        if len(self._content) > _LARGEST_LISTING:
            self._source.stop()
            whole_lines = self._content[: self._content.rfind(b"\n") + 1]
            self.done.callback((bytes(whole_lines), True))

    def flush(self) -> None:
        pass

    def response_ended(self, trailers: FieldSection) -> None:
        self.done.callback((bytes(self._content), False))

    def response_failed(self, error: ProxykitError, *, untouched: bool) -> None:
        self.done.errback(error)


def _listing(entries: Iterator[Entry], *, is_cut: bool) -> Listing:
    found: list[Entry] = []
    for entry in entries:
        if len(found) >= _MOST_ENTRIES:
            return Listing(tuple(found), True)
        found.append(entry)
    return Listing(tuple(found), is_cut)
