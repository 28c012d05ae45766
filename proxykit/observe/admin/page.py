"""The web page: one file, nothing from elsewhere; it asks the API with a token typed in."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from typing import Any

from twisted.web.resource import Resource

from .answers import ErrorAnswer, set_fields


class Page(Resource):
    """``/``."""

    isLeaf = True

    def __init__(self) -> None:
        """Read the page, and allow its own script and style and no other (CSP, level 3)."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._content = files(__package__).joinpath("page.html").read_bytes()
        script, style = (_hash(self._content, tag) for tag in (b"script", b"style"))
        self._policy = (
            f"default-src 'none'; connect-src 'self'; script-src '{script}'; style-src '{style}'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ).encode("ascii")

    def render(self, request: Any) -> bytes:
        """Give the page."""
        if request.method not in (b"GET", b"HEAD"):
            return ErrorAnswer(405, "this method is not for this", {b"Allow": b"GET"}).render(
                request
            )
        set_fields(request, b"text/html; charset=utf-8")
        request.setHeader(b"Content-Security-Policy", self._policy)
        return self._content


def _hash(page: bytes, tag: bytes) -> str:
    found = re.search(rb"<%s>(.*?)</%s>" % (tag, tag), page, re.DOTALL)
    assert found is not None
    return "sha256-" + base64.b64encode(hashlib.sha256(found[1]).digest()).decode("ascii")
