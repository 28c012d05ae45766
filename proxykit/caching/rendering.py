"""A stored response as it is sent, rendered once and kept beside it."""

from __future__ import annotations

from ..engine.forwarding import ForwardingRules
from ..message.framing import NO_CONTENT, Length
from ..message.response import Response
from .status import hit
from .stored import StoredHead


class Rendering:
    """What a hit sends of a stored response's head; only its age changes, once a second.

    :ivar rules: by which it was rendered.
    :ivar response: the head for whoever looks at it; Content-Length is in ``lines`` alone.
    :ivar lines: the field lines, Age and Cache-Status among them.
    :ivar second: the time that ``lines`` are of, in whole seconds since 1970.
    """

    __slots__ = ("_without_age", "lines", "response", "rules", "second")

    def __init__(self, rules: ForwardingRules, response: Response, lines: bytes) -> None:
        """Take what does not change; ``set_age`` comes next."""
        self.rules = rules
        self.response = response
        self.lines = lines
        self.second = -1
        self._without_age = len(lines)

    @classmethod
    def of(cls, head: StoredHead, rules: ForwardingRules, size: int) -> Rendering:
        """Render a head.

        :param size: of the content, in bytes.
        """
        framing = Length(size) if size else NO_CONTENT
        response = Response.received(head.version, head.status, head.reason, head.section, framing)
        lines = rules.response_fields(response, content_length=False)
        if head.status not in (204, 304):
            lines += b"Content-Length: %d\r\n" % size
        return cls(rules, response, lines)

    def set_age(self, head: StoredHead, now: float) -> None:
        """Say how old it is.

        :param now: in seconds since 1970.
        """
        age = head.age(now)
        status = hit(self.rules.pseudonym, head.terms.lifetime - age)
        self.lines = b"%sAge: %d\r\n%s: %s\r\n" % (self.lines[: self._without_age], age, *status)
        self.second = int(now)
