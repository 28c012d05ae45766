"""Body filters in a row: what one gives is what the next takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


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

    def finish(self) -> bytes:
        """End the content: what each still holds passes those behind it."""
        data = b""
        for transform in self._transforms:
            data = (transform.feed(data) if data else b"") + transform.finish()
        return data
