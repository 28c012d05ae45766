"""Each line of a blocklist is judged for itself; none is lost without a word."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.lists.judged import Asked, blocks, table, verdict


@pytest.mark.parametrize(
    ("line", "url", "blocked"),
    [
        # hosts files
        ("0.0.0.0 ads.example", "http://ads.example/", True),
        ("127.0.0.1\tads.example # why", "http://ads.example/", True),
        ("0.0.0.0 a.example b.example", "http://b.example/", True),
        (":: ads.example", "http://ads.example/", True),
        ("::1 ads.example", "http://x.ads.example/", True),
        ("0.0.0.0 ads.example", "http://badads.example/", False),
        ("192.168.1.2 nas.example", "http://nas.example/", False),
        ("127.0.0.1 localhost", "http://localhost/", False),
        # domain lists
        ("ads.example", "http://ads.example/x", True),
        ("ads.example", "http://a.b.ads.example/x", True),
        ("ads.example", "http://example/", False),
        ("ADS.Example.", "http://ads.example/x", True),
        (".ads.example", "http://ads.example/x", True),
        ("*.ads.example", "http://a.ads.example/x", True),
        ("bücher.example", "http://xn--bcher-kva.example/", True),
        ("ads.example # why", "http://ads.example/x", True),
        ("192.0.2.7", "http://192.0.2.7/", True),
        ("192.0.2.7", "http://1.192.0.2.7/", False),
        ("rack2.lan2", "http://db.rack2.lan2/", True),
        # comments, headers
        ("# ads.example", "http://ads.example/", False),
        ("! ads.example", "http://ads.example/", False),
        ("[Adblock Plus 2.0]", "http://adblock/", False),
        ("", "http://a/", False),
        # cosmetic rules
        ("ads.example##.banner", "http://ads.example/", False),
        ("##.ads.example", "http://ads.example/", False),
        ("ads.example#@#.banner", "http://ads.example/", False),
        ("ads.example#?#.banner", "http://ads.example/", False),
    ],
)
def test_a_line_says_what_it_blocks(line, url, blocked):
    assert blocks(line, url) is blocked


def test_one_list_may_mix_them_all():
    lines = ("[Adblock Plus 2.0]", "0.0.0.0 a.example", "b.example", "||c.example^", "/d/*.gif")

    for url in ("http://a.example/", "http://b.example/", "http://c.example/", "http://x/d/1.gif"):
        assert blocks(lines, url)


def test_a_verdict_names_the_list_the_line_and_the_rule():
    lists = [("# one", "0.0.0.0 a.example"), ("", "", "||b.example^", "@@||a.example^")]

    assert str(verdict(lists, Asked("http://x.a.example/")).hit) == "list0:2: a.example"
    assert str(verdict(lists, Asked("http://x.a.example/")).exception) == "list1:4: @@||a.example^"
    assert str(verdict(lists, Asked("http://b.example/")).hit) == "list1:3: ||b.example^"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("||a.example^$removeparam=x", "the option removeparam is not supported"),
        ("||a.example^$popup", "what only a browser sees"),
        ("||a.example^$domain=a b", "no domain"),
        ("/a(?=b)/", "look-around"),
        (r"/(a)\1/", "a back-reference"),
        ("/[/", "no regular expression"),
        ("/((a{30}){30}){30}/", "regular expression"),
        ("/x", "so short"),
        ("*", "so short"),
        ("192.168.1.2 nas.example", "a real address"),
        ("0.0.0.0 -", "no host"),
        ("300.1.1.1 a.example", "begins like a hosts file's"),
        ("x y z", "white space"),
        (b"\xff\xfe", "not UTF-8"),
        ("a\x01b.example", "control characters"),
        ("x" * 20_000, "too long"),
        ("||a.example/" + "x" * 600, "too long"),
    ],
)
def test_a_line_that_cannot_be_kept_is_counted_with_the_reason(line, reason):
    report = table("good.example", line).report

    assert report["names"] == 1
    assert report["rules"] == 0
    (told,) = report["skipped"]
    assert reason in told
    assert report["examples"][0]["line"] == 2


def test_what_has_no_say_is_counted_too():
    report = table("a.example##.x", "127.0.0.1 localhost", "||a.example^").report

    assert sum(report["ignored"].values()) == 2
    assert report["skipped"] == {}


def test_too_many_rules_that_nothing_tells_apart_are_refused_one_by_one():
    report = table(*(f"/ab{n}*cd" for n in range(10_050)), "a.example").report

    assert report["rules"] == 10_000
    assert list(report["skipped"].values()) == [50]
    assert report["names"] == 1


PIECES = st.sampled_from(
    ["||", "|", "@@", "^", "*", "$", "/", "ads", ".example", "a.example", "script", ",", "~", "=",
     "domain=", "third-party", "0.0.0.0 ", "##", "#", "!", " ", "\t", "[", "]", "(", ")", "{9}",
     "important", "é", "%2f", "::1 ", "\\", "+", "?", "xn--", "\u200b", "\0", "-", "."]
)  # fmt: skip
LINES = st.one_of(st.lists(PIECES, max_size=9).map("".join), st.text(max_size=30)).map(str.encode)


@settings(max_examples=150)
@given(st.lists(st.one_of(LINES, st.binary(max_size=20)), max_size=12))
@example(
    [b"||", b"@@", b"$", b"/", b"//", b"/$/", b"||^", b"|^|", b"@@||$", b"*$*", b"||\xc3\xa9^"]
)
def test_hostile_lines_are_counted_never_lost_and_never_break_others(lines):
    lines = [line.replace(b"\n", b"") for line in lines]

    made = table(*lines, "||good.example^", "bad-ads.example")

    report = made.report
    assert report["names"] >= 2
    told = report["names"] + report["rules"] + sum(report["skipped"].values())
    told += sum(report["ignored"].values())
    silent = sum(
        1
        for line in lines
        if not (text := line.decode("utf-8", "replace").strip(" \t\r\ufeff"))
        or text[0] in "!#[" or text in ("||", "@@")
    )  # fmt: skip
    assert told + silent >= len(lines)
    asked = Asked("http://x.bad-ads.example/")
    found = verdict([(*lines, "bad-ads.example")], asked)
    assert found is not None


@settings(max_examples=150)
@given(
    st.lists(LINES, max_size=8),
    st.text(alphabet="abcdsexmpl./%?&=-_^*$|~", max_size=60),
    st.sampled_from(["other", "script", "document", ""]),
)
def test_any_list_can_be_asked_about_any_request(lines, path, kind):
    lines = [line.replace(b"\n", b"") for line in lines]

    verdict([tuple(lines)], Asked(f"http://ads.example/{path}", kind, "page.example"))
