"""What is wrong with a disk is said once in a while, not once a request."""

from __future__ import annotations

from time import monotonic

from twisted.logger import Logger

_log = Logger()

_PAUSE_SECONDS = 60.0


class Complaint:
    """Says that something is wrong, at most once a minute."""

    def __init__(self, what: str) -> None:
        """Say nothing yet.

        :param what: what goes in front of each error.
        """
        self._what = what
        self._said = -_PAUSE_SECONDS

    def say(self, error: object) -> None:
        """Say it, if it was not said lately."""
        if monotonic() - self._said >= _PAUSE_SECONDS:
            self._said = monotonic()
            _log.error("{what}: {error}", what=self._what, error=str(error))
