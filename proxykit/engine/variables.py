"""Texts with variables in them, for the plug-ins that let an operator write some.

``{name}`` stands for what the exchange says. A text is compiled when it is loaded; one without
variables is plain bytes from then on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ..message.response import Response
from .exchange import Exchange

Variable = Callable[[Exchange, Response | None], bytes]

# A brace that does not begin a name stands for itself, so that JSON can be written as it is;
# {{name}} is how to write the text {name}.
_NAME = r"[a-z][a-z0-9_]*(?:\.[!#$%&'*+^_`|~0-9A-Za-z-]+)?"
_REFERENCE = re.compile(r"\{\{(" + _NAME + r")\}\}|\{(" + _NAME + r")\}")

# What no field value may hold (RFC 9110 section 5.5). An authenticated user's name, for one, may.
_CONTROLS = bytes(code for code in range(128) if (code < 32 and code != 9) or code == 127)


def _request_variables() -> dict[str, Variable]:
    return {
        "authority": lambda exchange, _: exchange.authority.text().encode("ascii"),
        "client_address": lambda exchange, _: exchange.client_address.encode("ascii"),
        "host": lambda exchange, _: exchange.host.encode("ascii"),
        "id": lambda exchange, _: exchange.id.encode("ascii"),
        "method": lambda exchange, _: exchange.request.method,
        "path": lambda exchange, _: exchange.request.path.encode("ascii"),
        "query": lambda exchange, _: exchange.request.query.encode("ascii"),
        "scheme": lambda exchange, _: exchange.scheme.encode("ascii"),
        "uri": lambda exchange, _: exchange.request.origin_target,
        "user": lambda exchange, _: exchange.user.encode("utf-8", "replace"),
    }


def _status(exchange: Exchange, response: Response | None) -> bytes:
    return b"%d" % response.status if response is not None else b""


REQUEST_VARIABLES: Mapping[str, Variable] = _request_variables()
"""What is known when a request comes. ``request.NAME`` is known too: a field of the request."""

RESPONSE_VARIABLES: Mapping[str, Variable] = {
    **REQUEST_VARIABLES,
    "status": _status,
    "upstream": lambda exchange, _: exchange.upstream.encode("utf-8"),
}
"""What is known besides when a response comes."""


class Template:
    """A text that has variables."""

    __slots__ = ("_parts",)

    def __init__(self, parts: list[bytes | Variable]) -> None:
        """Take the texts and the variables between them."""
        self._parts = tuple(parts)

    def render(self, exchange: Exchange, response: Response | None = None) -> bytes:
        """Put the values in.

        :returns: what is a valid field value, for characters that none may hold are left out, and
            white space at its ends is too.
        """
        pieces = [
            part if isinstance(part, bytes) else part(exchange, response) for part in self._parts
        ]
        return b"".join(pieces).translate(None, _CONTROLS).strip(b" \t")


def compile_text(text: str, variables: Mapping[str, Variable]) -> bytes | Template:
    """Compile a text.

    :param variables: those that may stand in it: one of the two mappings of this module.
    :returns: bytes when there is no variable in it.
    :raises ValueError: when it names one that there is not.
    """
    parts: list[bytes | Variable] = []
    plain = ""
    position = 0
    for match in _REFERENCE.finditer(text):
        plain += text[position : match.start()]
        position = match.end()
        escaped, name = match.groups()
        if escaped is not None:
            plain += "{" + escaped + "}"
            continue
        parts += [plain.encode("utf-8"), _variable(name, variables)]
        plain = ""
    plain += text[position:]
    if not parts:
        return plain.encode("utf-8")
    parts.append(plain.encode("utf-8"))
    return Template([part for part in parts if part != b""])


def _variable(name: str, variables: Mapping[str, Variable]) -> Variable:
    kind, dot, field = name.partition(".")
    if dot and kind == "request":
        return _request_field(field.lower().encode("ascii"))
    found = variables.get(name)
    if found is None:
        if name in RESPONSE_VARIABLES:
            raise ValueError(f"{{{name}}} is known only when there is a response")
        known = ", ".join([*variables, "request.NAME"])
        raise ValueError(
            f"there is no variable {{{name}}}; there are {known}; {{{{{name}}}}} writes the text"
        )
    return found


def _request_field(name: bytes) -> Variable:
    def value(exchange: Exchange, response: Response | None) -> bytes:
        request = exchange.request
        headers = request.changed_headers
        found = request.section.get(name) if headers is None else headers.get(name)
        return found or b""

    return value
