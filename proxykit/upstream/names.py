"""The system's resolver, asked in threads of its own: a slow name server holds up nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from socket import gaierror, getaddrinfo
from threading import Thread
from typing import Any

from twisted.internet._resolver import GAIResolver
from twisted.internet.interfaces import IHostnameResolver
from twisted.python.threadpool import ThreadPool

# A name server that does not answer holds a thread for ten seconds or more.
_MOST_THREADS = 64


class _Daemon(Thread):
    """A thread that dies with the process: nobody who stops it waits for a name server."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named, daemon=True)


class _Threads:
    """Begins the threads when they are first needed."""

    def __init__(self) -> None:
        self._pool: ThreadPool | None = None

    def __call__(self) -> ThreadPool:
        if self._pool is None:
            self._pool = ThreadPool(0, _MOST_THREADS, "proxykit-names")
            self._pool.threadFactory = _Daemon
            self._pool.start()
        return self._pool


def system_names(reactor: Any) -> IHostnameResolver:
    """Give the system's resolver, as Twisted asks it."""
    return GAIResolver(reactor, _Threads(), _address_info)


def _address_info(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> Sequence[Any]:
    """Ask the system.

    :raises gaierror: whatever is the matter. Twisted waits for no other error, and what is no name
        at all (a label of 64 characters, or of none) is a ``UnicodeError``.
    """
    try:
        return getaddrinfo(host, port, family, type, proto, flags)
    except gaierror:
        raise
    except Exception as error:
        raise gaierror(str(error)) from error
