"""URLs of Redis servers, and what is said of one that is none."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from proxykit.caching.redis.address import RedisAddress, parse_address
from proxykit.caching.redis.factory import RedisOptions


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://127.0.0.1", RedisAddress(host="127.0.0.1")),
        ("redis://a.example:7000/3", RedisAddress(host="a.example", port=7000, database=3)),
        ("redis://[::1]:7000", RedisAddress(host="::1", port=7000)),
        ("redis://:s%40cret@a", RedisAddress(host="a", password="s@cret")),
        ("rediss://me:x@a", RedisAddress(host="a", tls=True, username="me", password="x")),
        ("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
        ("unix:///run/redis.sock?db=2", RedisAddress(path="/run/redis.sock", database=2)),
    ],
)
def test_urls_say_where_and_as_whom(url, address):
    assert parse_address(url) == address


BAD = (
    *("", "a", "http://a", "redis://", "redis://a:b", "redis://a/x", "redis://a/1?x=1", 5),
    *("unix://a/b", "unix:relative", "redis://a#b", "redis://:secret@a:99999"),
    *("redis://:secret@a/-1", "redis://:secret@a/99999999"),
)


@pytest.mark.parametrize("url", BAD)
def test_what_is_no_url_is_refused_without_telling_its_password(url):
    with pytest.raises(ValueError, match="expected a URL") as refused:
        parse_address(url)
    assert "secret" not in str(refused.value)


def test_a_password_is_in_no_representation():
    address = parse_address("redis://me:secret@a")

    assert "secret" not in repr(address) + str(address)
    assert "secret" not in repr(RedisOptions.model_validate({"url": "redis://me:secret@a"}))


def test_authorities_are_for_tls():
    with pytest.raises(ValidationError, match="rediss"):
        RedisOptions.model_validate({"url": "redis://a", "ca": "ca.pem"})
