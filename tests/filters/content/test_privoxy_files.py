"""Privoxy's files: their grammar, what is taken over, and that nothing is lost without a word."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.command import main
from proxykit.filters.content.privoxy.action_file import Action, read_action_file
from proxykit.filters.content.privoxy.filter_file import Kind, read_filter_file
from proxykit.filters.content.privoxy.lines import logical_lines
from proxykit.filters.content.privoxy.reading import read_files
from proxykit.filters.content.privoxy.report import Report
from proxykit.filters.content.settings import Settings


def left(report):
    return [str(each) for each in report.left]


def sections(text):
    report = Report()
    return read_action_file(text, "a", report), report


def filters(text):
    report = Report()
    found = {}
    read_filter_file(text, "f", found, report)
    return found, report


# --- lines ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\n\n  b  \n", [(1, "a"), (3, "b")]),
        ("# all of it\na # some of it\n", [(2, "a")]),
        (r"a \# b", [(1, "a # b")]),
        ("a\\\n  b\nc", [(1, "a  b"), (3, "c")]),
        ("a # not this \\\nb", [(1, "a b")]),
        ("a\r\nb\rc", [(1, "a"), (2, "b"), (3, "c")]),
        ("a\\", [(1, "a")]),
        ("\\\n\\\n", []),
    ],
)
def test_lines_are_joined_and_freed_of_comments(text, lines):
    assert list(logical_lines(text)) == lines


# --- filter files -----------------------------------------------------------------------------


def test_a_filter_has_its_jobs_in_order():
    found, report = filters(
        "FILTER: shout Makes it loud\n# a comment\ns/a/A/g\ns/b/B/g\n"
        "SERVER-HEADER-FILTER: shout\ns/x/y/\n"
    )

    assert [len(found[kind, "shout"].jobs) for kind in (Kind.CONTENT, Kind.RESPONSE_FIELDS)] == [
        2,
        1,
    ]
    assert not report.left
    assert "f:1: FILTER: shout (2 jobs)" in map(str, report.taken)


def test_a_filter_is_taken_over_whole_or_not_at_all():
    found, report = filters("FILTER: a\ns/1/2/\ns/x(?!y)/z/\nFILTER: b\ns/1/2/\n")

    assert list(found) == [(Kind.CONTENT, "b")]
    assert left(report)[0].startswith("f:3: s/x(?!y)/z/: look-around")
    assert left(report)[1] == "f:1: FILTER: a: without line 3 it would be another filter"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("s/a/b/\nFILTER: a\n", "f:1: s/a/b/: stands before the first filter"),
        ("FILTER:\ns/a/b/\n", "f:1: FILTER: : it has no name"),
        ("EXTERNAL-FILTER: x run\n/bin/x\n", "no other programs"),
        ("CLIENT-BODY-FILTER: x\ns/a/b/\n", "content of requests"),
        ("NEW-FILTER: x\ns/a/b/\n", "no such kind"),
    ],
)
def test_what_no_filter_has_is_reported(text, why):
    found, report = filters(text)

    assert len(report.left) == 1
    assert why in left(report)[0]
    assert not [jobs for jobs in found.values() if jobs.jobs]


def test_of_filters_with_one_name_the_last_counts():
    found, _ = filters("FILTER: a\ns/1/2/\nFILTER: a\ns/1/2/\ns/3/4/\n")

    assert len(found[Kind.CONTENT, "a"].jobs) == 2


# --- action files -----------------------------------------------------------------------------

ALIASES = """{{alias}}
+no-cookies = +crunch-incoming-cookies +crunch-outgoing-cookies
Shop = -Filter{popups} \\
       -block
all = +no-cookies SHOP

{{settings}}
for-privoxy-version=3.0.11
"""


def test_a_section_has_actions_and_patterns():
    found, report = sections(
        "{+block{It's an ad.} +handle-as-image \\\n -filter}\nads.example # why\n/banner\n{ -block }\nb.example"
    )

    assert [str(each) for each in found[0].actions] == [
        "+block{It's an ad.}",
        "+handle-as-image",
        "-filter",
    ]
    assert [(place.line, text) for place, text in found[0].patterns] == [
        (3, "ads.example"),
        (4, "/banner"),
    ]
    assert found[1].actions == (Action(False, "block"),)
    assert not report.left


def test_aliases_are_resolved_also_in_aliases():
    found, report = sections(ALIASES + "{all +filter{x}}\n/\n")

    assert [str(each) for each in found[0].actions] == [
        "+crunch-incoming-cookies", "+crunch-outgoing-cookies", "-filter{popups}", "-block", "+filter{x}",
    ]  # fmt: skip
    assert not report.left


def test_a_brace_in_a_parameter_is_escaped():
    found, _ = sections(r"{+redirect{s@a{2\}@{b\}@} +block{x}}")

    assert found[0].actions[0] == Action(True, "redirect", "s@a{2}@{b}@")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a.example\n", "a:1: a.example: stands before the first section"),
        ("{+block{x}\n+filter{y}}\n/\n", "no end"),
        ("{+block{x}\n", "no end"),
        ("{block}\n/\n", "'block' is neither an action nor an alias"),
        ("{+}\n/\n", "neither"),
        ("{{alias}}\nnothing\n", "a:2: nothing: expected name = actions"),
        ("{{alias}}\na = b\nb = a\n{a}\n/\n", "defined by itself"),
        ("{{what}}\nx\n", "no such section"),
        ("{ {x} }\n", "behind no action"),
    ],
)
def test_what_cannot_be_read_is_reported(text, why):
    found, report = sections(text)

    assert not found
    assert re.search(why, left(report)[0])


def test_aliases_cannot_multiply_without_end():
    lines = "".join(f"a{n} = {' '.join([f'a{n - 1}'] * 10)}\n" for n in range(1, 12))
    found, report = sections("{{alias}}\na0 = +block{x}\n" + lines + "{a11}\n/\n")

    assert not found
    assert "too many actions" in left(report)[0]


# --- what both mean together ------------------------------------------------------------------


def taken_over(actions, text="FILTER: loud\ns/a/A/\nCLIENT-HEADER-TAGGER: t\ns/a/A/\n"):
    report = Report()
    selected, _ = read_files([("f", text)], [("a", actions)], report)
    return selected, report


def test_everything_of_use_is_taken_over():
    actions = (
        "{+block{x.} -block +handle-as-image +set-image-blocker{blank} +handle-as-empty-document "
        "+redirect{http://b.example/} +redirect{s@a@b@} +filter{loud} -filter{gone} -filter "
        "+hide-referer{forge} +hide-user-agent{x} +hide-from-header{block} +hide-accept-language{en} "
        "+crunch-client-header{X-A:} +crunch-server-header{X-B:} +add-header{X-C: 1} "
        "+crunch-incoming-cookies +crunch-outgoing-cookies +crunch-if-none-match "
        "+hide-if-modified-since{block} +overwrite-last-modified{reset-to-request-time} "
        "+content-type-overwrite{text/plain} +hide-content-disposition{block} +prevent-compression "
        "+force-text-mode +client-header-tagger{t} +suppress-tag{x} -deanimate-gifs -fast-redirects}\n"
        "/\n.shop.example/x\nTAG:^x$\n"
    )
    selected, report = taken_over(actions)

    assert not left(report)
    assert len(selected[0].urls) == 2
    assert len(selected[0].tags) == 1
    assert "hide-referrer" in [each.name for each in selected[0].actions]


@pytest.mark.parametrize(
    ("action", "why"),
    [
        ("+filter{gone}", "no such filter"),
        ("+client-header-filter{loud}", "no such filter"),
        ("+filter", "names no filter"),
        ("+deanimate-gifs{last}", "images"),
        ("+fast-redirects{simple-check}", "."),
        ("+forward-override{forward .}", "parents"),
        ("+hide-if-modified-since{-60}", "at random"),
        ("+limit-cookie-lifetime{60}", "lifetimes"),
        ("+blok{x}", "no such action"),
        ("-blok", "no such action"),
        ("+add-header{Content-Length: 5}", "proxy itself"),
        ("+add-header{Transfer-Encoding: chunked}", "proxy itself"),
        ("+add-header{no field}", "expected Name: value"),
        ("+hide-user-agent{a\x00b}", "no field's value"),
        ("+hide-user-agent", "needs a parameter"),
        ("+redirect{s@a(?=b)@@}", "look-around"),
        ("+redirect{nowhere}", "expected a URL"),
        ("+set-image-blocker{what}", "expected a URL"),
        ("+handle-as-image{x}", "no parameter"),
    ],
)
def test_what_is_not_taken_over_is_reported_with_the_reason(action, why):
    selected, report = taken_over(f"{{{action} +block{{x}}}}\n/\n")

    assert [each.name for each in selected[0].actions] == ["block"]
    assert re.search(why, left(report)[0])
    assert left(report)[0].startswith(f"a:1: {action}".replace("\x00", "?"))


@pytest.mark.parametrize(
    "pattern", ["/(?!x)", "NO-REQUEST-TAG:x", "CLIENT-TAG:x", "PCRE-HOST-PATTERN:x", "TAG:("]
)
def test_a_pattern_that_is_not_taken_over_is_reported(pattern):
    selected, report = taken_over(f"{{+block{{x}}}}\n{pattern}\n/y\n")

    assert len(selected[0].urls) == 1
    assert not selected[0].tags
    assert left(report)[0].startswith(f"a:2: {pattern}: ")


PIECES = st.sampled_from(
    ["FILTER: a\n", "s/a/b/\n", "{", "}", "+block", "+filter{a}", "{{alias}}\n", "x = +block\n", "\\\n", "#",
     "/x\n", ".a.example\n", "\n", " ", "TAG:x\n", "{+add-header{X: y}}\n", "é", "\x00", "+redirect{s@a@b@}"]
)  # fmt: skip


@given(st.lists(PIECES, max_size=25).map("".join))
@settings(max_examples=300)
def test_any_text_is_read_and_no_line_is_lost(text):
    report = Report()
    read_files([("f", text)], [("a", text)], report)

    assert report.lines()
    spoken_of = {each.place.line for each in report.left + report.taken if each.place.file == "a"}
    aliases = False
    for number, line in logical_lines(text):
        if line.startswith("{"):
            aliases = line in ("{{alias}}", "{{settings}}")
        elif not aliases:
            assert number in spoken_of, line


# --- actions that are put together ------------------------------------------------------------


def combined(*texts):
    found, _ = sections("".join(f"{{{each}}}\n/\n" for each in texts))
    return Settings.of(action for each in found for action in each.actions)


def test_the_last_word_counts_and_filters_add_up():
    assert combined("+block{a}", "+block{b}").single == {"block": "b"}
    assert combined("+block{a}", "-block").single == {}
    assert combined("-block", "+block{a}").single == {"block": "a"}
    assert combined("+filter{a} +filter{b}", "+filter{c} +filter{a}").values("filter") == [
        "a",
        "b",
        "c",
    ]
    assert combined("+filter{a} +filter{b}", "-filter{a}").values("filter") == ["b"]
    assert combined("+filter{a}", "-filter", "+filter{b}").values("filter") == ["b"]


# --- the command ------------------------------------------------------------------------------


def test_the_command_prints_both_lists(tmp_path, capsys):
    (tmp_path / "u.filter").write_bytes(b"FILTER: caf\xe9\ns/a/b/\nFILTER: b\ns/(a)\\1/c/\n")
    (tmp_path / "u.action").write_text("{+filter{b} +block{x}}\n/\n")

    assert main(["privoxy", str(tmp_path / "u.filter"), str(tmp_path / "u.action")]) == 0
    said = capsys.readouterr().out
    assert "taken over: 3\n" in said
    assert "not taken over: 3\n" in said
    assert f"{tmp_path}/u.filter:4: s/(a)\\1/c/: a back-reference" in said
    assert f"{tmp_path}/u.action:1: +filter{{b}}: there is no such filter" in said


@pytest.mark.parametrize("name", ["missing.filter", "what.txt"])
def test_the_command_says_which_file_it_cannot_read(tmp_path, capsys, name):
    assert main(["privoxy", str(tmp_path / name)]) == 1
    assert name in capsys.readouterr().err
