"""Keys, Vary (RFC 9111 section 4.1), No-Vary-Search."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.caching.keys import normalised, ruled_key, selecting, uri_prefix, vary_names
from proxykit.caching.no_vary_search import Aliases, parse_rule
from proxykit.caching.rules import CacheRules, Query


def test_the_hosts_case_and_default_port_are_no_part_of_a_key():
    assert uri_prefix(b"n", "http", b"A.example:80") == b"n http://a.example"
    assert uri_prefix(b"n", "https", b"a.example:80") == b"n https://a.example:80"
    assert uri_prefix(b"n", "http", b"[2001:DB8::0:1]") == b"n http://[2001:db8::1]"


@pytest.mark.parametrize(
    ("rules", "target", "key"),
    [
        (CacheRules(query=Query.IGNORE), b"/a?b=1", b"p/a"),
        (CacheRules(query=Query.SORT), b"/a?b=2&a=1&b=1", b"p/a?a=1&b=2&b=1"),
        (CacheRules(query_ignore=(b"utm_*", b"x")), b"/a?utm_a=1&b=1&x=2", b"p/a?b=1"),
        (CacheRules(query_ignore=(b"x",)), b"/a?%78=2&b", b"p/a?b"),
        (CacheRules(query_only=(b"id",)), b"/a?id=1&z=2", b"p/a?id=1"),
        (CacheRules(key_headers=(b"x-a",)), b"/a", b"p/a\nx-a: 1"),
        (CacheRules(key_cookies=(b"lang",)), b"/a", b"p/a\ncookie lang=de"),
    ],
)
def test_rules_leave_out_and_take_in(rules, target, key):
    values = {b"x-a": b"1", b"cookie": b"x=1; lang=de; lang=fr"}
    assert ruled_key(b"p", target, rules, values) == key


def test_vary_names_each_field_once_in_any_case():
    assert vary_names(b"Accept , accept-ENCODING, accept,") == (b"accept", b"accept-encoding")
    assert vary_names(None) == ()


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        (b"x-a", b"1, 2", b"1 ,2"),
        (b"accept-encoding", b"gzip, br;q=0.5", b"BR; q=0.5,gzip"),
        (b"accept-language", b"de, en;q=0.5", b"DE,en; q=0.5"),
    ],
)
def test_what_means_the_same_matches(name, one, other):
    assert selecting((name,), {name: one}) == selecting((name,), {name: other})


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        (b"x-a", {b"x-a": b"A"}, {b"x-a": b"a"}),
        (b"x-a", {b"x-a": b""}, {}),
        (b"x-a", {b"x-a": b"1, 2"}, {b"x-a": b"2, 1"}),
        (b"accept-language", {b"accept-language": b"de, en"}, {b"accept-language": b"en, de"}),
        (b"accept-encoding", {b"accept-encoding": b"gzip"}, {b"accept-encoding": b"gzip, br"}),
    ],
)
def test_what_may_mean_another_thing_does_not_match(name, one, other):
    assert selecting((name,), one) != selecting((name,), other)


@given(st.binary(max_size=60))
def test_normalising_twice_changes_nothing_more(value):
    for name in (b"accept-encoding", b"accept-language", b"x-a"):
        once = normalised(name, value)
        assert normalised(name, once) == once


@pytest.mark.parametrize(
    ("rule", "stored", "asked", "same"),
    [
        (b"params", b"?a=1", b"?b=2", True),
        (b"params", b"?a=1", b"", True),
        (b'params=("a")', b"?a=1&b=1", b"?b=1", True),
        (b'params=("a")', b"?a=1&b=1", b"?b=2", False),
        (b'params, except=("id")', b"?id=1&x=1", b"?y=2&id=1", True),
        (b'params, except=("id")', b"?id=1", b"?id=2", False),
        (b"key-order", b"?a=1&b=2", b"?b=2&a=1", True),
        (b"key-order", b"?a=1&a=2", b"?a=2&a=1", False),
        (b'params=("a b")', b"?a+b=1", b"?a%20b=2", True),
        # malformed or pointless: every difference counts
        (b"params=1", b"?a=1", b"?a=2", False),
        (b'params=("a"', b"?a=1", b"?a=2", False),
        (b'except=("a")', b"?b=1", b"?b=2", False),
        (b"params=?0", b"?a=1", b"?a=2", False),
        (b"PARAMS", b"?a=1", b"?a=2", False),
    ],
)
def test_no_vary_search_says_what_differences_mean_nothing(rule, stored, asked, same):
    aliases = Aliases()
    aliases.note(b"n http://a/" + stored, rule)
    found = aliases.resolve(b"n http://a/" + asked)
    assert (found == b"n http://a/" + stored) is same
    assert aliases.resolve(b"n http://b/" + asked) == b"n http://b/" + asked


@given(st.binary(max_size=80), st.binary(max_size=40))
def test_no_bytes_make_the_rule_parser_fail(value, query):
    rule = parse_rule(value)
    if rule is not None:
        rule.canonical(query)
