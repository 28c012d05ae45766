"""How far an exchange has come."""

from __future__ import annotations

import enum


class Stage(enum.IntEnum):
    """How far an exchange has come; a retry goes back to ``CONNECTING``, all else goes on."""

    FILTERING = 0
    CONNECTING = 1
    WAITING = 2  # the request was sent, or is being sent
    ANSWERED = 3  # bytes of a response are the client's, or are being filtered: no other attempt
    RESPONDING = 4
    ENDED = 5
