"""The answers that the proxy gives itself."""

from __future__ import annotations

import pytest

from proxykit.engine.answers import error_answer, preferred_type, proxy_status
from proxykit.errors import BadRequest, Denied


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "text/plain"),
        (b"*/*", "text/plain"),
        (b"text/html,application/xhtml+xml,*/*;q=0.8", "text/html"),
        (b"application/json", "application/json"),
        (b"text/html;q=0.1, application/json;q=0.9", "application/json"),
        (b"text/html;q=0", "text/plain"),
        (b"text/html;q=nonsense", "text/plain"),
        (b"\xff," * 5000, "text/plain"),
    ],
)
def test_the_type_is_the_clients_choice(accept, media_type):
    assert preferred_type(accept) == media_type


def test_proxy_status_is_a_structured_field_whatever_the_detail_says():
    error = Denied('a "quoted" \\ one\r\nX: y \xe9')

    assert proxy_status(error, "p") == (
        b'p; error=http_request_denied; details="a \\"quoted\\" \\\\ oneX: y "'
    )


def test_an_answer_has_its_status_and_is_not_to_be_stored():
    answer = error_answer(BadRequest("no <Host>"), None, "p")

    assert answer.status == 400
    assert answer.headers.get(b"Cache-Control") == b"no-store"
    assert b"no <Host>" in answer.body
