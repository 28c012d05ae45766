"""Filters one content: decodes it, applies the rules, encodes it as it was. Knows no reactor."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from attrs import frozen

from ...message.codings import encoder_maker
from ...message.decoding import DecodingError, TooLarge, decoded
from .content_rule import ContentRule
from .substitution import Budget, GaveUp

# Those that cost little; what was encoded once, for all to come, was encoded better.
_LEVELS = {"gzip": 4, "br": 3, "zstd": 3}

_UTF8_NAMES = frozenset({"utf-8", "utf8", "unicode-1-1-utf-8"})
_META = re.compile(
    rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE
)
_META_WITHIN = 1024
"""HTML standard, 13.2.3.2: a page says its charset in its first 1,024 bytes."""


@frozen(slots=True, eq=False)
class Filtering:
    """What is to be done to one content.

    :ivar rules: those for its type.
    :ivar coding: see ``message.decoding.known_coding``.
    :ivar charset: what Content-Type declares, ``None`` if nothing.
    :ivar facts: for replacements that tell of the exchange.
    """

    rules: Sequence[ContentRule]
    coding: str
    charset: str | None
    facts: Mapping[str, bytes]

    def run(self, content: bytes, most: int, budget: Budget) -> bytes:
        """Do it.

        :param most: how large content may be once decoded.
        :returns: the very same object when nothing was changed.
        :raises GaveUp: when it cannot be done within the limits.
        """
        try:
            text = decoded(content, self.coding, most)
        except TooLarge:
            raise GaveUp(f"it is larger than {most} bytes") from None
        except DecodingError as error:
            raise GaveUp(f"it is not {self.coding}: {error}") from None
        utf8 = is_utf8(text, self.charset)
        if utf8 is None:
            raise GaveUp("it is UTF-16 or UTF-32")
        new = text
        for rule in self.rules:
            for substitution in rule.substitutions:
                new = substitution.apply(new, budget, utf8=utf8, facts=self.facts)
        if new is text or new == text:
            return content
        if not self.coding:
            return new
        encoder = encoder_maker(self.coding, _LEVELS[self.coding])(len(new))
        return encoder.encode(new) + encoder.finish()


def is_utf8(text: bytes, declared: str | None) -> bool | None:
    """Say whether a text is to be read as UTF-8, else with a character for each byte.

    A byte order mark decides, then what is declared outside the text, then inside (HTML standard,
    13.2.3.2). Without any of them it is UTF-8 if it can be.

    :param declared: the charset of Content-Type in lower case.
    :returns: ``None`` when it is neither: bytes are not characters in UTF-16 and UTF-32.
    """
    if text.startswith((b"\xfe\xff", b"\xff\xfe", b"\x00\x00\xfe\xff")):
        return None
    if text.startswith(b"\xef\xbb\xbf"):
        declared = "utf-8"
    elif declared is None:
        meta = _META.search(text[:_META_WITHIN])
        declared = None if meta is None else meta[1].lower().decode("ascii")
    if declared is not None and declared not in _UTF8_NAMES:
        return None if declared.startswith(("utf-16", "utf-32")) else False
    if text.isascii():
        return True
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
