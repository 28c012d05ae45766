"""Regular expressions: as Python's where both have them, but none that a text can stall."""

from __future__ import annotations

import re
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxykit.filters.cors import CorsFactory, CorsOptions
from proxykit.message.domain import domain_matcher
from proxykit.message.media_types import MediaTypes
from proxykit.message.path import PathMatch
from proxykit.message.pattern import Pattern
from proxykit.message.references import map_refresh
from proxykit.reverse.conditions import HostMatch, Subject, header_condition, query_condition
from proxykit.reverse.rewriting import rewrite_of
from tests.filters.exchanges import exchange
from tests.filters.rewriting import rewritten
from tests.reverse.requests import an_exchange


def test_what_groups_hold_is_known_by_number_and_by_name():
    pattern = Pattern.of("^/(?P<kind>[a-z]+)/([0-9]+)?(x)?$")

    assert pattern.groups == ("1", "2", "3", "kind")
    assert pattern.captures("/item/7") == {
        "0": "/item/7", "1": "item", "2": "7", "3": "", "kind": "item"
    }  # fmt: skip
    assert pattern.captures("/7/item") is None


def test_characters_beyond_ascii_are_one_each():
    assert Pattern.of("^a(.)c$").captures("aéc") == {"0": "aéc", "1": "é"}
    assert not Pattern.of("^a.c$").search("a\udc80\udc80c")
    assert Pattern.of("é+").search_bytes("aéé".encode())


@pytest.mark.parametrize("text", ["a|b", "^a|b$", "(a|b)", "a(?:|b)"])
@pytest.mark.parametrize("searched", ["a", "b", "ab", "xa", "bx", ""])
def test_a_whole_match_leaves_nothing_over(text, searched):
    expected = re.fullmatch(text, searched) is not None

    assert Pattern.of(text, whole=True).search(searched) is expected


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("a(?=b)", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "a back-reference"),
        (r"(?P<x>a)(?P=x)", "a back-reference"),
        ("a++b", "a possessive quantifier"),
        ("(?>a)b", "an atomic group"),
        ("(a)?(?(1)b|c)", "a condition"),
        ("(", "no regular expression"),
        ("((a{30}){30}){30}", "no regular expression"),
        ("(a{1,30}b){10}", "too large"),
    ],
)
def test_what_cannot_be_had_in_linear_time_is_said_when_it_is_compiled(text, lacks):
    with pytest.raises(ValueError, match=lacks):
        Pattern.of(text)


@pytest.mark.parametrize(
    ("text", "front"),
    [
        ("^/api/v[0-9]", "/api/v"),
        (r"\A/a\.b", "/a.b"),
        ("^/api/?", "/api"),
        ("^/a{2}", "/"),
        ("^/a|^/b", ""),
        ("(?i)^/a", ""),
        ("/a", ""),
    ],
)
def test_the_literal_text_in_front_is_known(text, front):
    assert Pattern.of(text).front == front


_PIECES = st.lists(
    st.sampled_from(
        ["^", "\\A", "/", "a", "b", "\\.", ".", "[ab]", "(a)", "(?:b|/)", "|", "*", "+", "?", "{2}"]
    ),
    min_size=1,
    max_size=8,
)


@given(_PIECES, st.text("/ab.", max_size=8))
def test_a_match_is_the_one_that_python_finds(pieces, searched):
    text = "".join(pieces)
    try:
        python, pattern = re.compile(text), Pattern.of(text)
    except (re.error, ValueError):
        return
    match = python.search(searched)

    assert pattern.search(searched) is (match is not None)
    captures = pattern.captures(searched)
    if match is None:
        assert captures is None
    elif "*" not in text and "{2}" not in text and "+" not in text:
        # What a group holds that is repeated and may be empty, the two tell differently.
        assert captures is not None
        assert captures["0"] == match[0]
        assert [captures[name] for name in pattern.groups] == [
            each or "" for each in match.groups()
        ]


STALLS = "(a+)+$"
LONG = "a" * 4000 + "!"
QUICK = 1.0  # where Python's own would need longer than anyone lives


def _field(text: str) -> bool:
    return header_condition("x-a", f"~ {STALLS}")(Subject(an_exchange(x_a=text)))


def _parameter(text: str) -> bool:
    return query_condition("a", f"~ {STALLS}")(Subject(an_exchange(f"/?a={text}")))


def _redone(text: str) -> bool:
    rewrite = rewrite_of("", [(STALLS, "/{1}")], "")
    assert rewrite is not None
    return rewrite(f"/{text}".encode()) != f"/{text}".encode()


def _origin(text: str) -> bool:
    cors = CorsFactory().build(CorsOptions(origins=[f"~ {STALLS}"]), None)
    subject = exchange("/", f"Origin: {text}")
    cors.request(subject)
    return cors._allows(text.encode())


@pytest.mark.parametrize(
    "judge",
    [
        PathMatch.of(f"~ {STALLS}").matches,
        HostMatch.of([f"~ {STALLS}"]).matches,
        domain_matcher(["a*a*a*a*a*a*b"]),
        lambda text: MediaTypes(["a/*a*a*a*a*a*b"])(b"a/" + text.encode()),
        lambda text: rewritten(f"/{text}", (f"~ {STALLS}", "/{1}")) != f"/{text}",
        lambda text: map_refresh(f"0;x{' ' * 30_000}{text}", str.upper) == "",
        _field,
        _parameter,
        _redone,
        _origin,
    ],
)
def test_no_text_stalls_the_proxy(judge):
    started = perf_counter()

    assert judge(LONG) is False
    assert perf_counter() - started < QUICK
