"""Privoxy's jobs: how they are parsed, what they do, what is not taken over."""

from __future__ import annotations

from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.filters.content.privoxy.job import Job, NotTaken
from proxykit.filters.content.substitution import Budget, GaveUp

FACTS = {
    "host": b"h.example",
    "path": b"/p?$1",
    "url": b"http://h.example/p",
    "origin": b"192.0.2.1",
}


def budget(seconds=5.0, size=1_000_000, work=10**9):
    return Budget(monotonic() + seconds, size, work)


def done(job, text):
    return Job.parse(job).substitution.apply(text, budget(), facts=FACTS)


@pytest.mark.parametrize(
    ("job", "text", "result"),
    [
        ("s/a/b/", b"aa", b"ba"),
        ("s/a/b/g", b"aa", b"bb"),
        ("s/A/b/gi", b"aA", b"bb"),
        ("s/A/b/g", b"aA", b"ab"),
        ("s|a/b|c|", b"a/b", b"c"),
        (r"s/a\/b/c/", b"a/b", b"c"),
        (r"s|one\|two|x|g", b"one two", b"x x"),  # an escaped delimiter keeps its meaning
        ("s@(a)(b)?@<$1$2>@g", b"ab a", b"<ab> <a>"),
        ("s/b/[$0$&]/", b"abc", b"a[bb]c"),
        (r"s/b/\$1\\\n\t\x41\7\q\//", b"b", b"$1\\\n\tA7q/"),
        ("s/b/$x $ ${1} $$/", b"b", b"$x $ ${1} $$"),
        ("s/b/$$1$&/T", b"b", b"$$1$&"),
        ("s/b+?/x/U", b"bbb", b"x"),
        ("s/b+/x/U", b"bbb", b"xbb"),
        ("s/a.c/x/", b"a\nc", b"a\nc"),
        ("s/a.c/x/s", b"a\nc", b"x"),
        ("s/^/>/gm", b"a\nb", b">a\n>b"),
        ("s/^/>/g", b"a\nb", b">a\nb"),
        ("s/ a  b [ ] \\ c/x/x", b"ab  c", b"x"),
        ("s/u*/_/g", b"auu", b"_a__"),
        ("s/\\xe2\\x82\\xac/EUR/g", "1€ 2€".encode(), b"1EUR 2EUR"),
        ("s/\xe9/e/", b"caf\xe9", b"cafe"),
        (
            "s/b/<$host|$path|$url|$origin>/D",
            b"b",
            b"<h.example|/p?$1|http://h.example/p|192.0.2.1>",
        ),
        ("s/b/$host/", b"b", b"$host"),
        ("s/b//", b"abc", b"ac"),
        ("s/[/]/x/", b"/", None),  # a delimiter in a class delimits all the same
        ("s/[a/", b"", None),
        ("s/\\bcat\\b/dog/g", b"cat concat cat", b"dog concat dog"),
    ],
)
def test_a_job_does_what_it_does_in_privoxy(job, text, result):
    if result is None:
        with pytest.raises(NotTaken):
            Job.parse(job)
    else:
        assert done(job, text) == result


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ("s/a(?=b)/c/", "look-around"),
        ("s/(?<!a)b/c/", "look-around"),
        (r"s/(['\"]).*\1/c/", "back-reference"),
        ("s/a++/c/", "possessive"),
        ("s/(?>a)/c/", "atomic"),
        ("s/(a/c/", "no regular expression"),
        ("s/a/$1/", "names a group"),
        ("s/a/$'/", "not done"),
        ("s/a/$+/", "not done"),
        ("s/a/b/q", "no option 'q'"),
        ("s/a/b", "three delimiters"),
        ("s/a/b/g/", "three delimiters"),
        ("s//b/", "empty"),
        ("s a b ", "cannot delimit"),
        ("sxaxbx", "cannot delimit"),
        ("y/a/b/", "expected s/"),
        ("s", "expected s/"),
        ("s/a/$listen-address/D", "not known"),
        ("s/$host/x/D", "variable in the pattern"),
        ("s/(a{1000}){1000}/x/", "."),
    ],
)
def test_what_has_no_equal_is_refused_with_the_reason(job, why):
    with pytest.raises(NotTaken, match=why):
        Job.parse(job)


def test_a_dollar_is_said_to_differ():
    assert Job.parse("s/a$/b/").difference
    assert not Job.parse("s/a$/b/m").difference
    assert not Job.parse(r"s/a\$[$]/b/").difference


@given(st.text(alphabet="s/|@ab()[]{}\\$&1*+?.^#:TDx\u00e9", max_size=25))
@settings(max_examples=400)
def test_any_text_is_a_job_or_refused(text):
    try:
        job = Job.parse("s" + text)
    except NotTaken:
        return
    try:
        job.substitution.apply(b"ab a\nb/|@", budget(size=10_000))
    except GaveUp:
        pass


@given(
    st.text(alphabet="ab", min_size=1, max_size=3),
    st.binary(max_size=30).map(lambda b: b.translate(bytes(b"ab \n"[i % 4] for i in range(256)))),
)
@settings(max_examples=100)
def test_plain_text_is_replaced_as_python_replaces_it(wanted, text):
    assert done(f"s/{wanted}/[x]/g", text) == text.replace(wanted.encode(), b"[x]")


# --- limits -----------------------------------------------------------------------------------


def test_a_text_that_makes_an_expression_slow_is_given_up():
    """Quadratic by its matches: each one looks to the end of the text in vain."""
    slow = Job.parse("s/x(.*y)?/z/gs").substitution
    begun = monotonic()
    with pytest.raises(GaveUp, match="too long"):
        slow.apply(b"x" * 4_000_000, budget(seconds=0.2))
    assert monotonic() - begun < 2


def test_what_grows_too_large_is_given_up():
    with pytest.raises(GaveUp, match="too large"):
        Job.parse("s/a/" + "b" * 1000 + "/g").substitution.apply(
            b"a" * 100_000, budget(size=10_000)
        )


def test_an_expression_that_might_take_long_on_a_large_text_is_not_begun():
    with pytest.raises(GaveUp, match="too large for one"):
        Job.parse("s/(a|b){100}c/x/").substitution.apply(b"a" * 100_000, budget(work=1_000_000))
