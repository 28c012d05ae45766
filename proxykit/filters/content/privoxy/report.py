"""What was taken over of Privoxy's files, and what was not: each with its place and why."""

from __future__ import annotations

from attrs import field, frozen


@frozen(slots=True, order=True)
class Place:
    """A line of a file.

    :ivar file: its name.
    :ivar line: counted from 1.
    """

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@frozen(slots=True)
class Finding:
    """Something that stands in a file.

    :ivar text: what it is, shortened.
    :ivar reason: why it was not taken over, or what is different; ``""`` for neither.
    """

    place: Place
    text: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.place}: {self.text}" + (f": {self.reason}" if self.reason else "")


@frozen(slots=True)
class Report:
    """Everything that was found in files, in the order in which it was.

    :ivar taken: what works as in Privoxy; with a reason, what differs a little.
    :ivar left: what has no effect here.
    """

    taken: list[Finding] = field(factory=list)
    left: list[Finding] = field(factory=list)

    def take(self, place: Place, text: str, difference: str = "") -> None:
        """Note what was taken over."""
        self.taken.append(Finding(place, _short(text), difference))

    def leave(self, place: Place, text: str, reason: str) -> None:
        """Note what was not."""
        self.left.append(Finding(place, _short(text), reason))

    def lines(self) -> list[str]:
        """Give all of it, a line each."""
        lines = [f"taken over: {len(self.taken)}"]
        lines += [f"  {each}" for each in sorted(self.taken, key=lambda each: each.place)]
        lines.append(f"not taken over: {len(self.left)}")
        lines += [f"  {each}" for each in sorted(self.left, key=lambda each: each.place)]
        return lines


def _short(text: str) -> str:
    """Give a text of a file as one line that can be printed."""
    printable = "".join(each if each.isprintable() else "?" for each in text)
    return printable if len(printable) <= 80 else printable[:79] + "…"
