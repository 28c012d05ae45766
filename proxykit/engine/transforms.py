"""Body filters in a row: what one gives is what the next takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from twisted.internet.task import cooperate

# What came all at once is passed on in pieces: one that took long to make would take the next
# transform long as well.
_PIECE = 64 * 1024


class Transforms:
    """The transforms on one message's content."""

    __slots__ = ("_transforms",)

    def __init__(self, transforms: list[Any]) -> None:
        """Take ``IBodyFilter`` providers in the order in which content meets them."""
        self._transforms = transforms

    @classmethod
    def made_by(cls, steps: tuple[Callable[..., Any], ...], *arguments: Any) -> Transforms | None:
        """Ask each body filter for its transform; ``None`` when none has one."""
        found = [transform for step in steps if (transform := step(*arguments)) is not None]
        return cls(found) if found else None

    def feed(self, data: bytes) -> bytes:
        """Pass content through all of them."""
        for transform in self._transforms:
            if not data:
                break
            data = transform.feed(data)
        return data

    def finish(self) -> bytes | Awaitable[bytes]:
        """End the content: what each still holds passes those behind it."""
        return self._finish(0, b"")

    def _finish(self, begin: int, data: bytes) -> bytes | Awaitable[bytes]:
        for index in range(begin, len(self._transforms)):
            transform = self._transforms[index]
            data = transform.feed(data) if data else b""
            rest = transform.finish()
            if not isinstance(rest, bytes):
                return self._finish_later(index + 1, data, rest)
            data += rest
        return data

    async def _finish_later(self, begin: int, data: bytes, rest: Awaitable[bytes]) -> bytes:
        """Go on behind a transform that has to wait."""
        data += await rest
        behind = Transforms(self._transforms[begin:])
        if not behind._transforms:
            return data
        pieces: list[bytes] = []

        def feed() -> Iterator[None]:
            for position in range(0, len(data), _PIECE):
                pieces.append(behind.feed(data[position : position + _PIECE]))
                yield

        await cooperate(feed()).whenDone()
        last = behind.finish()
        pieces.append(last if isinstance(last, bytes) else await last)
        return b"".join(pieces)
