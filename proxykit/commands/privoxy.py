"""``proxykit privoxy``: what of Privoxy's action and filter files is taken over."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def add_to(commands: Any) -> None:
    """Add the command; see ``commands.configurations``."""
    privoxy = commands.add_parser(
        "privoxy", help="say what of Privoxy's action and filter files is taken over"
    )
    privoxy.add_argument("file", type=Path, nargs="+", help="ends with .action or .filter")
    privoxy.set_defaults(run=lambda chosen: _privoxy(chosen.file))


def _privoxy(files: Sequence[Path]) -> int:
    from ..filters.content.privoxy.reading import read_files, text_of
    from ..filters.content.privoxy.report import Report

    texts: dict[str, list[tuple[str, str]]] = {".action": [], ".filter": []}
    for file in files:
        if file.suffix not in texts:
            print(f"{file}: its name ends with neither .action nor .filter", file=sys.stderr)
            return 1
        try:
            texts[file.suffix].append((str(file), text_of(file)))
        except (OSError, ValueError) as error:
            print(f"{file}: cannot be read: {error}", file=sys.stderr)
            return 1
    report = Report()
    read_files(texts[".filter"], texts[".action"], report)
    print(*report.lines(), sep="\n")
    return 0
