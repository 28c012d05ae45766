"""The cors filter, by the Fetch standard: preflights, and who may read what."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from proxykit.filters.cors import CorsFactory, CorsOptions
from proxykit.message.response import Response
from tests.filters.exchanges import exchange, received

PAGE = "https://page.example"


def build(**options):
    return CorsFactory().build(CorsOptions.model_validate(options), None)


def answer(cors, *fields, origin=PAGE, method="GET", response=None):
    """Send a request through the filter, both ways; give the response that the client sees."""
    subject = exchange("/", *([f"Origin: {origin}"] if origin else []), *fields, method=method)
    made = cors.request(subject)
    response = made or response or received("Content-Length: 0")
    cors.response(subject, response)
    return response


def allowed(cors, origin):
    return answer(cors, origin=origin).headers.get(b"access-control-allow-origin")


def preflight(cors, *fields, origin=PAGE, wanted="PUT"):
    wanted = f"Access-Control-Request-Method: {wanted}"
    return answer(cors, wanted, *fields, origin=origin, method="OPTIONS")


@pytest.mark.parametrize(
    ("origins", "origin", "is_allowed"),
    [
        (PAGE, PAGE, True),
        (PAGE, "http://page.example", False),
        (PAGE, "https://page.example:8443", False),
        (PAGE, "https://page.example.evil.example", False),
        (PAGE, "null", False),
        ("https://PAGE.example:443", PAGE, True),
        ("http://localhost:3000", "http://localhost:3000", True),
        ("https://*.example", "https://a.b.example", True),
        ("https://*.example", "https://example", False),
        ("https://*.example", "https://evil.test/.example", False),
        ("https://*.page.example", "https://evilpage.example", False),
        (r"~ https://(a|b)\.example", "https://b.example", True),
        (r"~ https://(a|b)\.example", "https://b.example.evil", False),
        ("null", "null", True),
        (["https://a.example", PAGE], PAGE, True),
        (PAGE, f"{PAGE}, {PAGE}", False),
        ("https://*.example", "https://" + "a." * 300 + "example", False),
    ],
)
def test_origins(origins, origin, is_allowed):
    assert allowed(build(origins=origins), origin) == (origin.encode() if is_allowed else None)


def test_any_origin_is_said_as_such_and_does_not_vary():
    response = answer(build(origins="*"))

    assert response.headers.get(b"access-control-allow-origin") == b"*"
    assert b"vary" not in response.headers


@pytest.mark.parametrize("origin", [PAGE, "https://other.example", ""])
def test_a_response_varies_by_origin_for_who_sends_none_too(origin):
    response = answer(
        build(origins=PAGE), origin=origin, response=Response(200, [(b"Vary", b"Accept")])
    )

    assert response.headers.get(b"vary") == b"Accept, Origin"


def test_a_preflight_is_answered_here():
    response = preflight(build(origins=PAGE), "Access-Control-Request-Headers: x-a, authorization")

    assert response.status == 204
    assert response.headers.get(b"access-control-allow-origin") == PAGE.encode()
    assert b"PUT" in response.headers.get(b"access-control-allow-methods").split(b", ")
    assert response.headers.get(b"access-control-allow-headers") == b"x-a, authorization"
    assert response.headers.get(b"access-control-max-age") == b"600"
    assert b"Access-Control-Request-Headers" in response.headers.get(b"vary")
    assert b"access-control-expose-headers" not in response.headers


def test_what_a_preflight_allows_can_be_said():
    cors = build(origins=PAGE, methods=["GET"], headers=["X-A", "X-B"], max_age="1h")

    response = preflight(cors, "Access-Control-Request-Headers: x-c")

    assert response.headers.get(b"access-control-allow-methods") == b"GET"
    assert response.headers.get(b"access-control-allow-headers") == b"X-A, X-B"
    assert response.headers.get(b"access-control-max-age") == b"3600"


def test_a_preflight_from_another_origin_is_refused():
    response = preflight(build(origins=PAGE), origin="https://other.example")

    assert response.status == 403
    assert b"access-control-allow-origin" not in response.headers


def test_what_is_no_list_of_names_is_not_sent_back():
    response = preflight(build(origins=PAGE), "Access-Control-Request-Headers: x-a, <b>")

    assert b"access-control-allow-headers" not in response.headers


def test_an_options_that_is_no_preflight_goes_on():
    cors = build(origins=PAGE)

    assert cors.request(exchange("/", f"Origin: {PAGE}", method="OPTIONS")) is None
    assert (
        cors.request(exchange("/", "Access-Control-Request-Method: PUT", method="OPTIONS")) is None
    )


def test_what_the_server_says_of_the_matter_is_replaced():
    response = received(
        "Access-Control-Allow-Origin: *",
        "Access-Control-Allow-Credentials: true",
        "Access-Control-Expose-Headers: X-Secret",
    )
    other = answer(build(origins=PAGE), origin="https://other.example", response=response)
    assert not [name for name, _ in other.headers if name.startswith(b"Access-Control")]

    response = answer(
        build(origins=PAGE, credentials=True, expose=["X-A", "X-B"]),
        response=received("Access-Control-Allow-Origin: *"),
    )
    assert response.headers.get_all(b"access-control-allow-origin") == [PAGE.encode()]
    assert response.headers.get(b"access-control-allow-credentials") == b"true"
    assert response.headers.get(b"access-control-expose-headers") == b"X-A, X-B"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"origins": []},
        {"origins": "page.example"},
        {"origins": "https://page.example/"},
        {"origins": "https://a.*.example"},
        {"origins": "~ ("},
        {"origins": ["https://a.example", "*"], "credentials": True},
        {"origins": PAGE, "credentials": True, "expose": ["*"]},
        {"origins": PAGE, "methods": ["a b"]},
        {"origins": PAGE, "headers": ["x\r\ny"]},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValidationError):
        CorsOptions.model_validate(options)
