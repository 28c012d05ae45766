"""The conditions of ``access`` rules that only a response can meet: its media type and size."""

from __future__ import annotations

from attrs import frozen

from ...message.framing import Length
from ...message.response import Response
from .options import Rule, size_range


@frozen(slots=True, eq=False)
class ResponseCondition:
    """What a rule says of responses.

    :ivar types: media types in lower case, perhaps with ``*`` for a part, ``none`` for none.
    :ivar sizes: smallest and largest sizes in bytes, ``None`` for a size that is not told.
    """

    types: tuple[str, ...]
    sizes: tuple[tuple[int, int | None] | None, ...]

    @classmethod
    def of(cls, rule: Rule) -> ResponseCondition | None:
        """Compile a rule's, ``None`` when it has none."""
        if not rule.of_response:
            return None
        return cls(tuple(rule.type), tuple(size_range(text) for text in rule.size))

    def matches(self, response: Response) -> bool:
        """Try a response's head."""
        return self._matches_type(response) and self._matches_size(response)

    def _matches_type(self, response: Response) -> bool:
        if not self.types:
            return True
        headers = response.changed_headers
        if headers is None:
            value = response.section.values.get(b"content-type")
        else:
            value = headers.get(b"content-type")
        # RFC 9110 section 8.3.1: case does not matter, parameters follow a semicolon.
        media_type = (value or b"").partition(b";")[0].strip().lower().decode("latin-1")
        if not media_type:
            return "none" in self.types
        main = media_type.partition("/")[0]
        return any(each in (media_type, f"{main}/*", "*/*") for each in self.types)

    def _matches_size(self, response: Response) -> bool:
        if not self.sizes:
            return True
        size = _size_of(response)
        for each in self.sizes:
            if each is None:
                if size is None:
                    return True
            elif size is not None and each[0] <= size and (each[1] is None or size <= each[1]):
                return True
        return False

    def __str__(self) -> str:
        said = [f"type {' or '.join(self.types)}"] if self.types else []
        if self.sizes:
            said.append("its size")
        return " and ".join(said)


def _size_of(response: Response) -> int | None:
    """Give the size that a response says it has, also where its content is left out (HEAD)."""
    if response.body:
        return len(response.body)
    value = response.section.values.get(b"content-length")
    if value is not None and value.isdigit():
        return int(value)
    return response.framing.size if isinstance(response.framing, Length) else None
