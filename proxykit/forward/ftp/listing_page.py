"""Writes a directory as a page, as JSON or as text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from urllib.parse import quote

from ...engine.answers import preferred_type
from ...message.response import Response
from .listing import Entry

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}}
h1{{font-size:1.4em}}td{{padding:0 1.5em 0 0}}td.size{{text-align:right}}</style></head>
<body><h1>{title}</h1>
<table>
{rows}</table>
{note}</body>
</html>
"""
_CUT = "The listing is longer than is shown here."


def listing_page(
    url: str, entries: Sequence[Entry], accept: bytes | None, *, is_root: bool, is_cut: bool
) -> Response:
    """Make the response for a directory.

    :param url: the directory's, with a slash at its end and without credentials.
    :param is_root: whether there is nothing above it.
    :param is_cut: whether there are more entries than these.
    """
    ordered = sorted(entries, key=lambda entry: (entry.kind != "directory", entry.name))
    media_type = preferred_type(accept)
    if media_type == "application/json":
        content = _json(url, ordered, is_cut=is_cut)
    elif media_type == "text/html":
        content = _html(url, ordered, is_root=is_root, is_cut=is_cut)
    else:
        content = _text(ordered, is_cut=is_cut)
    charset = "" if media_type == "application/json" else "; charset=utf-8"
    headers = [
        (b"Content-Type", (media_type + charset).encode("ascii")),
        (b"Vary", b"Accept"),
        (b"X-Content-Type-Options", b"nosniff"),
        # The names are the server's; whatever they hold, nothing here is a script.
        (b"Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'"),
    ]
    return Response(200, headers, content.encode("utf-8", "replace"))


def shown(name: str) -> str:
    """Give a name as people read it: UTF-8 (RFC 2640) if it is that."""
    raw = name.encode("latin-1")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return name


def reference(entry: Entry) -> str:
    """Give the reference that leads from a directory to what is in it."""
    # The dot in front keeps a name such as "javascript:x" from being read as a scheme, and quote
    # leaves no character that means something to HTML.
    slash = "/" if entry.kind == "directory" else ""
    return "./" + quote(entry.name.encode("latin-1"), safe="") + slash


def _html(url: str, entries: Sequence[Entry], *, is_root: bool, is_cut: bool) -> str:
    rows = [] if is_root else ['<tr><td><a href="../">..</a></td><td></td><td></td></tr>\n']
    for entry in entries:
        name = escape(shown(entry.name))
        if entry.kind == "directory":
            name += "/"
        if entry.kind != "other":
            name = f'<a href="{reference(entry)}">{name}</a>'
        size = "" if entry.size is None else str(entry.size)
        modified = escape(entry.modified)
        rows.append(f'<tr><td>{name}</td><td class="size">{size}</td><td>{modified}</td></tr>\n')
    note = f"<p>{_CUT}</p>\n" if is_cut else ""
    return _PAGE.format(title=escape(url), rows="".join(rows), note=note)


def _json(url: str, entries: Sequence[Entry], *, is_cut: bool) -> str:
    said = [
        {
            "name": shown(entry.name),
            "kind": entry.kind,
            "size": entry.size,
            "modified": entry.modified,
            "href": reference(entry),
        }
        for entry in entries
    ]
    return json.dumps({"url": url, "entries": said, "complete": not is_cut})


def _text(entries: Sequence[Entry], *, is_cut: bool) -> str:
    lines = []
    for entry in entries:
        name = "".join(c if c.isprintable() else "\ufffd" for c in shown(entry.name))
        size = "-" if entry.size is None else str(entry.size)
        slash = "/" if entry.kind == "directory" else ""
        lines.append(f"{size:>12}  {entry.modified:<16}  {name}{slash}")
    if is_cut:
        lines.append(_CUT)
    return "\n".join([*lines, ""])
