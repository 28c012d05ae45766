"""The control connection: commands out, replies in (RFC 959 section 4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from time import monotonic
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.protocols.ftp import BadResponse as FtpBadResponse
from twisted.protocols.ftp import CommandFailed, FTPClientBasic, decodeHostPort
from twisted.python.failure import Failure

from ...errors import BadResponse, ProxykitError, ResponseTimeout
from ...net.sweeper import NEVER, Sweeper
from ...upstream.failures import upstream_error

_MARK = re.compile(r"1[0-9]{2} ")
_EXTENDED_PASSIVE = re.compile(r"\((?P<d>[!-~])(?P=d){2}([0-9]{1,5})(?P=d)\)")
# Some servers greet with a poem, none with a book.
_MOST_LINES = 500
_LONGEST_TOLD = 200
# What a server refuses EPSV with when it does not know it (RFC 959, RFC 2428).
_UNKNOWN_COMMAND = frozenset({500, 501, 502, 504, 522})


@frozen(slots=True)
class Reply:
    """What a server says to a command.

    :ivar code: three digits; the first says how it went.
    :ivar text: its last line, printable ASCII and not too long, for people.
    """

    code: int
    text: str = ""

    @classmethod
    def of(cls, lines: list[str]) -> Reply:
        """Read the lines of a reply."""
        last = lines[-1]
        text = "".join(c for c in last[4:] if " " <= c <= "~")
        return cls(int(last[:3]), text[:_LONGEST_TOLD])

    @property
    def is_mark(self) -> bool:
        """Whether the command is under way, and another reply will follow."""
        return self.code < 200

    @property
    def is_fine(self) -> bool:
        """Whether what was asked for was done."""
        return 200 <= self.code < 300


class ControlConnection(FTPClientBasic):
    """Twisted's FTP client, bounded, and in the proxy's words.

    :ivar greeting: fires with the server's first reply.
    :ivar deadline: see ``net.sweeper``; it is moved by each command, and by who transfers.
    :ivar seconds: how long the server may take for anything.
    """

    MAX_LENGTH = 8192
    transport: Any

    def __init__(
        self, name: str, sweeper: Sweeper, seconds: float, closed: Callable[[], None]
    ) -> None:
        """Make one that is not connected yet.

        :param name: the server's, for messages.
        :param closed: called once, when it was connected and is gone.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._name = name
        self._sweeper = sweeper
        self._closed = closed
        self._marked: Deferred[Reply] | None = None
        self._why: ProxykitError | None = None
        self._gone = self._quitting = False
        self.seconds = seconds
        self.deadline = NEVER
        # In the place of one of Twisted's whose failure would be logged as nobody's.
        self.nextDeferred = Deferred()
        self.greeted: Deferred[Reply] = self._in_our_words(self.nextDeferred)

    @property
    def peer(self) -> str:
        """The address that it goes to."""
        host: str = self.transport.getPeer().host
        return host

    def ask(self, command: str) -> Deferred[Reply]:
        """Send a command.

        :param command: in latin-1, without CR and LF.
        :returns: the reply, whether it is fine or not; fails with a ``ProxykitError`` when there
            is none.
        """
        if "\r" in command or "\n" in command:
            raise ValueError("a command is one line")
        if self._gone:
            failed: Deferred[Any] = Deferred()
            failed.errback(self._lost(Failure(connectionDone.value)))
            return failed
        self.deadline = monotonic() + self.seconds
        replied: Deferred[Any] = self.queueStringCommand(command)  # type: ignore[no-untyped-call]
        return self._in_our_words(replied)

    def begin(self, command: str) -> tuple[Deferred[Reply], Deferred[Reply]]:
        """Send a command that transfers something.

        :returns: the reply that it has begun, or else why not; and the reply at its end.
        """
        marked: Deferred[Reply] = Deferred()
        self._marked = marked
        # One for who begins, one for who waits for the end.
        ended: Deferred[Reply] = Deferred()

        def replied(result: Any) -> None:
            if self._marked is marked:
                self._marked = None
                marked.callback(result)
                ended.addErrback(lambda failure: None)  # it was told already
            ended.callback(result)

        self.ask(command).addBoth(replied)
        return marked, ended

    async def passive_port(self) -> int:
        """Ask for a port to connect to for a transfer.

        The address that PASV tells is not looked at: the connection goes to where this one goes,
        or a server could have the proxy connect anywhere.

        :raises BadResponse: when it gives none that may be used.
        """
        reply = await self.ask("EPSV")
        if reply.code == 229:
            match = _EXTENDED_PASSIVE.search(reply.text)
            return self._usable_port(int(match[2]) if match else 0)
        if ":" in self.peer or reply.code not in _UNKNOWN_COMMAND:
            raise BadResponse(f"{self._name} does not transfer in passive mode: {reply.text}")
        reply = await self.ask("PASV")
        if reply.code != 227:
            raise BadResponse(f"{self._name} does not transfer in passive mode: {reply.text}")
        try:
            _, port = decodeHostPort(reply.text)
        except ValueError:
            port = 0
        return self._usable_port(port)

    def quit(self) -> None:
        """Say goodbye and close."""
        if not (self._gone or self._quitting):
            self._quitting = True
            self.deadline = NEVER
            self.sendLine("QUIT")  # type: ignore[no-untyped-call]
            self.transport.loseConnection()

    def abort(self, why: ProxykitError | None = None) -> None:
        """Close at once.

        :param why: what is told to who waits for a reply.
        """
        self._why = self._why or why
        self.deadline = NEVER
        if self.transport is not None:
            self.transport.abortConnection()

    def _usable_port(self, port: int) -> int:
        # No FTP server transfers on a port of another service; who says so wants to reach that.
        if not 1024 <= port <= 65535:
            raise BadResponse(f"{self._name} names no port that it could transfer on")
        return port

    def _in_our_words(self, replied: Deferred[Any]) -> Deferred[Reply]:
        return replied.addCallbacks(Reply.of, self._refused)

    def _refused(self, failure: Failure) -> Reply:
        value = failure.value
        if isinstance(value, CommandFailed):
            return Reply.of(value.args[0])
        if isinstance(value, FtpBadResponse):
            raise BadResponse(f"{self._name} does not speak FTP")
        raise self._lost(failure)

    def _lost(self, failure: Failure) -> ProxykitError:
        value = failure.value
        # Twisted wraps the reason.
        reason = value.args[1] if value is not None and len(value.args) > 1 else failure
        return self._why or upstream_error(
            reason if isinstance(reason, Failure) else failure, self._name
        )

    # --- the transport's side -----------------------------------------------------------------

    def connectionMade(self) -> None:
        """See ``IProtocol``."""
        self.deadline = monotonic() + self.seconds
        self._sweeper.add(self)

    def lineReceived(self, line: bytes) -> None:
        """Take a line of a reply."""
        if len(self.response) >= _MOST_LINES:
            self.abort(BadResponse(f"a reply of {self._name} does not end"))
            return
        super().lineReceived(line)  # type: ignore[no-untyped-call]
        text = line.decode("latin-1")
        if _MARK.match(text):
            self.response = []
            marked, self._marked = self._marked, None
            if marked is not None:
                marked.callback(Reply.of([text]))

    def lineLengthExceeded(self, line: bytes) -> None:
        """See ``LineReceiver``."""
        self.abort(BadResponse(f"a line of {self._name} does not end"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See ``IProtocol``."""
        self._gone = True
        self._sweeper.discard(self)
        self._closed()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]

    def fail(self, error: Any) -> None:
        """Close because of something nobody asked for; Twisted calls this."""
        self.abort(BadResponse(f"{self._name} replied without being asked"))

    def deadline_passed(self) -> None:
        """Called by the sweeper."""
        self.abort(ResponseTimeout(f"{self._name} did not answer in time"))
