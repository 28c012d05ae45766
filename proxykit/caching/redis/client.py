"""A connection to Redis or Valkey: commands are pipelined, answers are not waited for in vain.

The parser is hiredis, the servers' own. What stands around it here is what a cache needs and
txredisapi has not: it gives up for good when it cannot log in, takes answers of any length, and
goes on asking a server that does not answer.

Every command is answered, with an error if need be, within the time-out. When the server is away,
or several commands in a row were not answered in time, nothing is asked for a while (``is_usable``
is false), and the client tries by itself whether the server is back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from time import monotonic
from typing import Any

import hiredis
from attrs import define
from twisted.internet.defer import Deferred, FirstError
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from .address import RedisAddress

_log = Logger()

_CONNECT_SECONDS = 2.0
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
_MOST_MISSED = 3  # commands in a row without an answer in time
_MOST_ANSWERED = 16 * 1024 * 1024  # bytes of one answer: more than any command here asks for
_MOST_WAITING = 20_000
_WRITE_SECONDS = 5.0  # nobody waits for what is written, and it may be a lot
_SAY_SECONDS = 60.0

Command = tuple[bytes | int, ...]


class RedisAway(Exception):
    """The server cannot be asked, or has not answered in time."""


class RedisRefused(Exception):
    """The server answered with an error."""


def as_nothing(failure: Any) -> tuple[()]:
    """Take a command that was not answered, or was refused, for one that found nothing.

    :param failure: of a ``Deferred``, or of one that gathers several.
    """
    while failure.check(FirstError):
        failure = failure.value.subFailure
    failure.trap(RedisAway, RedisRefused)
    return ()


@define(slots=True, eq=False)
class _Waiting:
    """A command that was sent, and when its answer is too late."""

    deferred: Deferred[Any] | None
    deadline: float


class RedisClient:
    """See above.

    :ivar address: the server's.
    """

    def __init__(
        self,
        reactor: Any,
        address: RedisAddress,
        timeout: float,
        tls: IOpenSSLClientConnectionCreator | None = None,
    ) -> None:
        """Make one that connects when it is first asked for something.

        :param timeout: how long an answer is waited for, in seconds.
        """
        self.address = address
        self.timeout = timeout
        self._reactor = reactor
        self._tls = tls
        self._connection: _Connection | None = None
        self._connecting = False
        self._closed = False
        self._pause = _FIRST_PAUSE_SECONDS
        self._said = -_SAY_SECONDS
        self._missed = 0

    def __repr__(self) -> str:
        state = "usable" if self.is_usable else "away"
        return f"<RedisClient {self.address} {state}>"

    @property
    def is_usable(self) -> bool:
        """Whether it makes sense to ask; asking for this has it connect."""
        connection = self._connection
        if connection is None:
            if not self._connecting and not self._closed:
                self._connect()
            return False
        return connection.is_ready and self._missed < _MOST_MISSED

    def send(self, *command: bytes | int) -> Deferred[Any]:
        """Send a command.

        :returns: what fires with the answer: bytes, a number, ``None`` or a list of these; or
            fails with ``RedisAway`` or ``RedisRefused``.
        """
        return self.send_together(command)[0]

    def send_together(self, *commands: Command) -> list[Deferred[Any]]:
        """Send commands, and give what fires with the answer of each; see ``send``."""
        if not self.is_usable or self._connection is None:
            failed = [Deferred[Any]() for _ in commands]
            for each in failed:
                each.errback(RedisAway("the server is away"))
            return failed
        return self._connection.send(commands, self.timeout)

    def send_all(self, commands: Sequence[Command]) -> Deferred[Any] | None:
        """Send commands whose answers nobody needs; they are done in order.

        :returns: what fires when the last was done, or will not be; ``None`` if none was sent.
        """
        if not self.is_usable or self._connection is None:
            return None
        deferreds = self._connection.send(commands, max(self.timeout, _WRITE_SECONDS))
        for deferred in deferreds:
            deferred.addErrback(self._not_done)
        return deferreds[-1]

    def _not_done(self, failure: Failure) -> None:
        failure.trap(RedisAway, RedisRefused)
        if isinstance(failure.value, RedisRefused):
            self.complain(str(failure.value))

    @property
    def unanswered(self) -> int:
        """How many commands wait for their answers."""
        return len(self._connection.waiting) if self._connection is not None else 0

    def close(self) -> None:
        """Ask nothing any more; may be called in any thread."""
        self._reactor.callFromThread(self._close)

    def _close(self) -> None:
        self._closed = True
        if self._connection is not None:
            self._connection.lose("the store is closed")

    def complain(self, what: str) -> None:
        """Say what is wrong, once in a while."""
        if monotonic() - self._said >= _SAY_SECONDS:
            self._said = monotonic()
            _log.warn(
                "the cache at {address} is not used: {what}", address=str(self.address), what=what
            )

    # --- connecting ---------------------------------------------------------------------------

    def _connect(self) -> None:
        self._connecting = True
        address = self.address
        endpoint: Any
        if address.path:
            endpoint = UNIXClientEndpoint(self._reactor, address.path, timeout=_CONNECT_SECONDS)
        else:
            endpoint = HostnameEndpoint(
                self._reactor, address.host, address.port, timeout=_CONNECT_SECONDS
            )
            if self._tls is not None:
                endpoint = wrapClientTLS(self._tls, endpoint)
        connecting = endpoint.connect(_Connections.forProtocol(lambda: _Connection(self)))
        connecting.addCallbacks(self._connected, self._not_connected)

    def _connected(self, connection: _Connection) -> None:
        if self._closed:
            connection.lose("the store is closed")
            return
        self._connection = connection
        self._missed = 0
        connection.log_in(self.address)

    def _not_connected(self, failure: Failure) -> None:
        self.complain(failure.getErrorMessage())
        self._try_later()

    def _try_later(self) -> None:
        """Try again by and by, longer and longer pauses between."""
        self._connecting = True
        pause, self._pause = self._pause, min(self._pause * 2, _LONGEST_PAUSE_SECONDS)
        self._reactor.callLater(pause, self._try_again)

    def _try_again(self) -> None:
        self._connecting = False
        if not self._closed:
            self._connect()

    # --- called by connections ----------------------------------------------------------------

    def is_ready(self) -> None:
        """The server let us in."""
        self._connecting = False
        self._pause = _FIRST_PAUSE_SECONDS
        if self._said >= 0:
            self._said = -_SAY_SECONDS
            _log.info("the cache at {address} is used", address=str(self.address))

    def is_lost(self, connection: _Connection, why: str) -> None:
        """A connection is gone."""
        if self._connection is connection:
            self._connection = None
        if not self._closed:
            self.complain(why)
            self._try_later()

    def was_answered(self) -> None:
        """An answer came in time."""
        self._missed = 0

    def was_missed(self, connection: _Connection) -> None:
        """An answer did not come in time; one behind it cannot come any sooner."""
        self._missed += 1
        if self._missed == _MOST_MISSED:
            connection.lose(f"the server took longer than {self.timeout:g} s to answer")


class _Connections(Factory):
    noisy = False


class _Connection(Protocol):
    """One connection.

    :ivar waiting: what was sent, the oldest first.
    :ivar is_ready: whether the server let us in.
    """

    transport: Any

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._reader = hiredis.Reader()
        self._reader.setmaxbuf(0)
        self._fed = 0
        self._why = ""
        self._timer: Any = None
        self._lost = False
        self.waiting: deque[_Waiting] = deque()
        self.is_ready = False

    def log_in(self, address: RedisAddress) -> None:
        """Send what must be sent first."""
        commands: list[Command] = []
        if address.password is not None:
            user = [address.username.encode()] if address.username else []
            commands.append((b"AUTH", *user, address.password.encode()))
        commands.append((b"SELECT", address.database))
        *others, last = self.send(commands, _CONNECT_SECONDS)
        for each in others:
            each.addErrback(self._not_let_in)
        last.addCallbacks(self._let_in, self._not_let_in)

    def _let_in(self, _: Any) -> None:
        if not self._why:
            self.is_ready = True
            self._client.is_ready()

    def _not_let_in(self, failure: Failure) -> None:
        # What a server says of a password may hold it.
        refused = failure.check(RedisRefused) is not None
        self.lose("the server refuses to let us in" if refused else failure.getErrorMessage())

    def send(self, commands: Sequence[Command], seconds: float) -> list[Deferred[Any]]:
        """Send commands; give what fires with their answers, within so many seconds."""
        if self._lost or len(self.waiting) + len(commands) > _MOST_WAITING:
            failed = [Deferred[Any]() for _ in commands]
            for each in failed:
                each.errback(RedisAway("the server is away, or too far behind"))
            return failed
        deadline = monotonic() + seconds
        deferreds = [Deferred[Any]() for _ in commands]
        self.waiting.extend(_Waiting(each, deadline) for each in deferreds)
        packed = [hiredis.pack_command(each) for each in commands]  # type: ignore[arg-type]
        self.transport.write(b"".join(packed))
        if self._timer is None:
            self._set_timer(self._client.timeout)
        return deferreds

    def dataReceived(self, data: bytes) -> None:
        """Answers came."""
        self._fed += len(data)
        self._reader.feed(data)
        try:
            # False stands for "not yet": no command here is answered so.
            while (answer := self._reader.gets()) is not False:
                self._fed = 0
                self._answered(answer)
        except hiredis.ProtocolError:
            self.lose("the server answered something that is no answer")
            return
        if self._fed > _MOST_ANSWERED:
            self.lose("the server answered more than was asked for")

    def _answered(self, answer: Any) -> None:
        if not self.waiting or self._lost:
            self.lose("the server answered without being asked")
            return
        deferred = self.waiting.popleft().deferred
        if deferred is None:
            return  # too late
        self._client.was_answered()
        if isinstance(answer, hiredis.ReplyError):
            deferred.errback(RedisRefused(str(answer)))
        else:
            deferred.callback(answer)

    # --- time-outs ----------------------------------------------------------------------------

    def _set_timer(self, seconds: float) -> None:
        self._timer = self._client._reactor.callLater(max(0.001, seconds), self._check_deadlines)

    def _check_deadlines(self) -> None:
        self._timer = None
        now = monotonic()
        late = [each for each in self.waiting if each.deadline <= now and each.deferred]
        for each in late:
            deferred, each.deferred = each.deferred, None
            if deferred is not None:
                self._client.was_missed(self)
                deferred.errback(RedisAway("the server did not answer in time"))
        if self.waiting and self._timer is None and not self._lost:
            # Not for each by itself: what is late is rather late than looked at all the time.
            self._set_timer(self._client.timeout / 4)

    # --- the end ------------------------------------------------------------------------------

    def lose(self, why: str) -> None:
        """Close the connection at once."""
        if not self._why:
            self._why = why
            self._ended()
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        if not self._why:
            self._why = "the server closed the connection"
        self._ended()

    def _ended(self) -> None:
        if self._lost:
            return
        self._lost = True
        self.is_ready = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self.waiting = self.waiting, deque()
        self._client.is_lost(self, self._why)
        for each in waiting:
            # ``_check_deadlines`` may be on its way through the same ones.
            deferred, each.deferred = each.deferred, None
            if deferred is not None:
                deferred.errback(RedisAway(self._why))
