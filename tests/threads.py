"""A clock that has threads too, whose work is done when the clock is advanced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock
from twisted.python.failure import Failure


class ThreadsClock(Clock):
    """Stands for the reactor, for ``deferToThreadPool``, and for the threads."""

    def getThreadPool(self) -> ThreadsClock:
        """Give what has the threads."""
        return self

    def callInThreadWithCallback(
        self, done: Callable[[bool, Any], None], call: Callable[..., Any], *arguments: Any
    ) -> None:
        """Do work when the clock is advanced next."""

        def work() -> None:
            try:
                done(True, call(*arguments))
            except BaseException:
                done(False, Failure())

        self.callLater(0, work)

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Call at once, for there is no other thread."""
        call(*arguments)
