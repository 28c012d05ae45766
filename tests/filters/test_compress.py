"""The compress filter: what it compresses, for whom, and what it says of it."""

from __future__ import annotations

import gzip
import sys
import zlib

import pytest
from pydantic import ValidationError

from proxykit.filters.compress import CompressFactory, CompressOptions
from proxykit.message.response import Response
from tests.filters.exchanges import exchange, received

TEXT = b"A line that compresses well.\n" * 100
LONG = f"Content-Length: {len(TEXT)}"


def build(**options):
    return CompressFactory().build(CompressOptions.model_validate(options), None)


def asked(accept="gzip", *fields, method="GET"):
    return exchange("/", f"Accept-Encoding: {accept}", *fields, method=method)


def transform(*fields, subject=None, status=200, **options):
    response = received("Content-Type: text/html", *fields, status=status)
    return build(**options).response_body(subject or asked(), response), response


def test_a_text_is_compressed():
    compression, response = transform(LONG)

    content = compression.feed(TEXT[:1000]) + compression.feed(TEXT[1000:]) + compression.finish()
    assert gzip.decompress(content) == TEXT
    assert len(content) < len(TEXT) / 10
    assert response.headers.get(b"content-encoding") == b"gzip"
    assert response.headers.get(b"vary") == b"Accept-Encoding"


@pytest.mark.parametrize(
    "fields",
    [
        ("Content-Encoding: br", LONG),
        ("Cache-Control: public, No-Transform", LONG),
        ("Repr-Digest: sha-256=:AA==:", LONG),
        ("Content-MD5: AA==", LONG),
        ("Transfer-Encoding: chunked", "Trailer: Content-Digest"),
        ("Content-Length: 1023",),
    ],
)
def test_what_must_not_be_compressed_is_left_alone(fields):
    compression, response = transform(*fields)

    assert compression is None
    assert response.changed_headers is None


def test_a_part_of_a_content_is_left_alone():
    """Its range is one of the content as the origin has it (RFC 9110 section 14.4)."""
    assert transform("Content-Range: bytes 0-2899/2900", LONG, status=206)[0] is None


def test_a_client_may_ask_that_nothing_is_transformed():
    assert transform(LONG, subject=asked("gzip", "Cache-Control: no-transform"))[0] is None


def test_what_would_be_compressed_for_others_varies_for_who_does_not_want_it():
    for accept in ("identity", "deflate", "gzip;q=0"):
        compression, response = transform(LONG, "Vary: Cookie", subject=asked(accept))

        assert compression is None
        assert response.headers.get(b"vary") == b"Cookie, Accept-Encoding"
        assert b"content-encoding" not in response.headers


@pytest.mark.parametrize("vary", ["*", "Cookie, accept-encoding"])
def test_vary_is_not_repeated(vary):
    _, response = transform(LONG, f"Vary: {vary}")

    assert response.headers.get_all(b"vary") == [vary.encode()]


def test_content_of_an_unknown_length_is_compressed():
    assert transform("Transfer-Encoding: chunked")[0] is not None


@pytest.mark.parametrize(
    ("content_type", "compressed"),
    [
        ("text/html; charset=utf-8", True),
        ("Application/JSON", True),
        ("application/problem+json", True),
        ("image/svg+xml", True),
        ("image/png", False),
        ("video/mp4", False),
        ("text/event-stream", False),
        ("application/octet-stream", False),
        ("text/html" + ";x=" + "y" * 200, True),
        ("", False),
    ],
)
def test_types_that_are_worth_it(content_type, compressed):
    response = received(f"Content-Type: {content_type}", LONG)

    assert (build().response_body(asked(), response) is not None) is compressed


def test_types_can_be_said():
    subject = build(types=["image/*", "application/x-mine"])

    for content_type, compressed in (("image/png", 1), ("application/x-mine", 1), ("text/html", 0)):
        response = received(f"Content-Type: {content_type}", LONG)
        assert (subject.response_body(asked(), response) is not None) == compressed


def test_who_refuses_plain_content_gets_none():
    """RFC 9110 section 12.5.3: identity;q=0."""
    response = received("Content-Type: image/png", "Content-Length: 5")

    assert build().response_body(asked("gzip, identity;q=0"), response) is not None


def test_ranges_are_no_longer_offered_and_a_strong_tag_becomes_weak():
    _, response = transform(LONG, "Accept-Ranges: bytes", 'ETag: "x"')

    assert b"accept-ranges" not in response.headers
    assert response.headers.get(b"etag") == b'W/"x~gzip"'


def test_a_tag_that_is_none_goes():
    _, response = transform(LONG, "ETag: x")

    assert b"etag" not in response.headers


def test_the_origin_is_asked_by_its_own_tag():
    subject = asked("gzip", 'If-None-Match: W/"x~gzip", "y"', 'If-Match: W/"z~br"')

    build().request(subject)

    assert subject.request.headers.get(b"if-none-match") == b'"x", "y"'
    assert subject.request.headers.get(b"if-match") == b'"z"'


def test_a_304_has_the_fields_that_the_200_had():
    subject = asked("gzip", 'If-None-Match: W/"x~gzip"')
    response = received('ETag: "x"', status=304)

    build().response(subject, response)

    assert response.headers.get(b"etag") == b'W/"x~gzip"'
    assert response.headers.get(b"vary") == b"Accept-Encoding"


def test_a_304_for_a_type_that_is_not_compressed_stays_as_it_is():
    response = received('ETag: "x"', "Content-Type: image/png", status=304)

    build().response(asked("gzip", 'If-None-Match: "x"'), response)

    assert response.changed_headers is None


def test_an_answer_of_the_proxys_own_is_compressed_whole():
    response = Response(503, [(b"Content-Type", b"text/html"), (b"ETag", b'"x"')], TEXT)

    build().response(asked(), response)

    assert gzip.decompress(response.body) == TEXT
    assert response.headers.get(b"content-encoding") == b"gzip"


def test_what_was_fed_can_be_decoded_at_once():
    """A client must see what an origin sent before it went to sleep."""
    compression, _ = transform("Transfer-Encoding: chunked")
    decoder = zlib.decompressobj(31)

    for piece in (b"one", b"two", b"three"):
        assert decoder.decompress(compression.feed(piece)) == piece
    decoder.decompress(compression.finish())
    assert decoder.eof


def test_content_of_a_known_length_is_not_flushed_at_its_end():
    known, _ = transform(LONG)
    unknown, _ = transform("Transfer-Encoding: chunked")

    assert len(known.feed(TEXT) + known.finish()) < len(unknown.feed(TEXT) + unknown.finish())


def test_no_content_at_all_is_a_valid_stream():
    compression, _ = transform("Transfer-Encoding: chunked")

    assert gzip.decompress(compression.finish()) == b""


def test_the_clients_preference_decides_then_the_order_given():
    assert transform(LONG, subject=asked("gzip, br"))[1].headers.get(b"content-encoding") == b"br"
    _, response = transform(LONG, subject=asked("gzip, br"), algorithms=["gzip", "brotli"])
    assert response.headers.get(b"content-encoding") == b"gzip"
    _, response = transform(LONG, subject=asked("gzip, br;q=0.1"))
    assert response.headers.get(b"content-encoding") == b"gzip"


def test_a_missing_library_is_an_error_when_it_is_named_and_else_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "brotli", None)

    with pytest.raises(ValidationError, match="brotli needs the package brotli"):
        CompressOptions.model_validate({"algorithms": ["brotli"]})
    assert transform(LONG, subject=asked("br, gzip"))[1].headers.get(b"content-encoding") == b"gzip"


@pytest.mark.parametrize(
    "options",
    [
        {"algorithms": []},
        {"algorithms": ["deflate"]},
        {"types": ["text"]},
        {"gzip_level": 0},
        {"brotli_level": 11},
        {"zstd_level": 22},
    ],
)
def test_options_that_make_no_sense(options):
    with pytest.raises(ValidationError):
        CompressOptions.model_validate(options)
