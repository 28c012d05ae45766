"""The page that tells a forward proxy's client who it is and what applies to it."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from attrs import frozen

from ..engine.answers import preferred_type
from ..engine.exchange import Exchange
from ..message.response import Response
from .inquiry import Outcome, Verdict

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Your proxy</title>
<style>body{{font:16px/1.5 sans-serif;max-width:44em;margin:4em auto;padding:0 1em;color:#222}}
h1{{font-size:1.4em}}dt{{font-weight:bold}}dd{{margin:0 0 .6em}}input{{font:inherit}}
input[name=url]{{width:28em;max-width:100%}}.verdict{{border-left:.3em solid #888;padding-left:1em}}
p.id{{color:#777;font-size:.85em}}</style></head>
<body><h1>Your proxy</h1>
<dl>{facts}</dl>
<form action="/" method="get"><p><label>Would this be allowed?<br>
<input name="url" value="{url}" placeholder="http://www.example.com/"></label>
<input type="submit" value="Ask"></p></form>
{verdict}<p class="id">Exchange {id}</p></body>
</html>
"""

_SENTENCES = {
    Outcome.ALLOWED: "would be fetched",
    Outcome.REFUSED: "would be refused",
    Outcome.UNREACHABLE: "is allowed, but cannot be reached",
    Outcome.ANSWERED: "would be answered by the proxy itself",
}


@frozen(slots=True)
class About:
    """What the page says.

    :ivar client: the address of the client who asks, ``""`` over a UNIX socket.
    :ivar user: who it authenticated as, or ``""``.
    :ivar filters: the names of the filters that its requests pass, in their order.
    :ivar pac: where the PAC file is, ``""`` where there is none.
    :ivar refused: why it may not use the proxy, if a filter would not even let it see this page;
        such a client is told nothing else of the configuration.
    :ivar verdict: the answer to its question, if it asked one.
    """

    client: str
    user: str
    listener: str
    filters: tuple[str, ...]
    pac: str
    refused: Verdict | None = None
    verdict: Verdict | None = None


def info_page(about: About, exchange: Exchange) -> Response:
    """Make the page, in the words that the client's Accept asks for."""
    media_type = preferred_type(exchange.request.section.values.get(b"accept"))
    write = {"text/html": _html, "application/json": _json}.get(media_type, _text)
    charset = "" if media_type == "application/json" else "; charset=utf-8"
    headers = [
        (b"Content-Type", (media_type + charset).encode("ascii")),
        # It is about one client and one moment, and is nobody's frame, script or referrer.
        (b"Cache-Control", b"no-store"),
        (b"Vary", b"Accept"),
        (b"X-Content-Type-Options", b"nosniff"),
        (b"Referrer-Policy", b"no-referrer"),
        (
            b"Content-Security-Policy",
            b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
            b"frame-ancestors 'none'; base-uri 'none'",
        ),
    ]
    return Response(200, headers, write(about, exchange.id).encode("utf-8", "replace"))


def _facts(about: About) -> dict[str, str]:
    facts = {
        "You are": about.client or "on this machine",
        "Authenticated as": about.user or "nobody",
    }
    if about.refused is not None:
        return facts | {"You may not": _reason(about.refused)}
    facts |= {"You came in by": about.listener, "Filters": ", ".join(about.filters) or "none"}
    return facts | ({"PAC file": about.pac} if about.pac else {})


def _reason(verdict: Verdict) -> str:
    """Say who decides, why, and what the answer would be."""
    reason = verdict.detail
    if verdict.by:
        reason = f"{verdict.by}: {reason}" if reason else verdict.by
    if verdict.status:
        error = f", {verdict.error}" if verdict.error else ""
        reason += f" ({verdict.status}{error})"
    return reason


def _html(about: About, exchange_id: str) -> str:
    facts = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in _facts(about).items()
    )
    verdict = about.verdict
    said = url = ""
    if verdict is not None:
        url = verdict.url
        said = f"<p class=verdict><b>{escape(url)}</b> {_SENTENCES[verdict.outcome]}.<br>"
        said += f"{escape(_reason(verdict))}</p>\n"
    return _PAGE.format(facts=facts, url=escape(url), verdict=said, id=escape(exchange_id))


def _text(about: About, exchange_id: str) -> str:
    lines = [f"{name}: {value}" for name, value in _facts(about).items()]
    verdict = about.verdict
    if verdict is not None:
        lines += ["", f"{verdict.url} {_SENTENCES[verdict.outcome]}", _reason(verdict)]
    printable = ("".join(c for c in line if c.isprintable()) for line in lines)
    return "\n".join([*printable, "", f"exchange {exchange_id}", ""])


def _json(about: About, exchange_id: str) -> str:
    said: dict[str, Any] = {
        "client_address": about.client,
        "user": about.user,
        "id": exchange_id,
    }
    if about.refused is not None:
        said["refused"] = _values(about.refused)
    else:
        said |= {"listener": about.listener, "filters": about.filters, "pac": about.pac}
    if about.verdict is not None:
        said["verdict"] = {"url": about.verdict.url} | _values(about.verdict)
    return json.dumps(said)


def _values(verdict: Verdict) -> dict[str, Any]:
    return {
        "outcome": verdict.outcome.value,
        "by": verdict.by,
        "status": verdict.status,
        "error": verdict.error,
        "detail": verdict.detail,
    }
