"""Texts with places to fill in: where a redirect leads, what a path is rewritten to.

``{name}`` is such a place. Which names there are is known when a configuration is loaded, groups of
the route's regular expression among them (``{1}``, ``{name}``), so a wrong one is found then.

What is filled in comes from a request and is never percent-decoded: it is the visible ASCII that
the grammar of a target and of a host allows, so it cannot end a field (no CR, LF or space).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from attrs import frozen

_PLACE = re.compile(r"\{([^{}]*)\}")
_LEADING_SLASHES = re.compile(r"[/\\]{2,}")


@frozen(slots=True)
class Template:
    """A text with places.

    :ivar names: of its places.
    """

    pieces: tuple[str, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, text: str, known: Iterable[str]) -> Template:
        """Compile a text.

        :param known: the names of the places that there may be.
        :raises ValueError: for another name, or a brace that belongs to no place.
        """
        pieces = _PLACE.split(text)
        names = tuple(pieces[1::2])
        allowed = list(known)
        for name in names:
            if name not in allowed:
                places = ", ".join("{%s}" % each for each in allowed)
                raise ValueError(f"there is no {{{name}}} here; there are {places or 'none'}")
        texts = tuple(pieces[::2])
        if any("{" in each or "}" in each for each in texts):
            raise ValueError("a brace stands alone")
        return cls(texts, names)

    def fill(self, values: Mapping[str, str]) -> str:
        """Give the text with its places filled in."""
        text = self.pieces[0]
        for name, piece in zip(self.names, self.pieces[1:], strict=True):
            text += values[name] + piece
        return text


def one_leading_slash(text: str) -> str:
    """Give a path that begins with one slash where it began with several.

    A reference that begins with ``//`` names another host (RFC 3986 section 4.2), and browsers
    take a backslash for a slash: whoever redirects to such a path sends people anywhere.
    """
    return _LEADING_SLASHES.sub("/", text, count=1) if _LEADING_SLASHES.match(text) else text


Rewrite = Callable[[bytes], bytes]
"""From the target that a client asked for to the one that is asked for in its place."""
