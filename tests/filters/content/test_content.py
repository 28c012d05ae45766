"""The content filter: what it does to requests and to the heads of responses, and to whose."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from proxykit.errors import ConfigurationError
from proxykit.filters.content import ContentFactory
from proxykit.filters.content.options import ContentOptions
from proxykit.interfaces import IResponseFilter
from proxykit.message.response import Response
from tests.filters.exchanges import exchange, received

HTML = "Content-Type: text/html"
RULE = {"name": "cats", "replace": [{"match": "cat", "with": "dog"}]}


def build(directory=Path("."), **options):
    context = SimpleNamespace(directory=directory, reactor=MemoryReactorClock())
    return ContentFactory().build(ContentOptions.model_validate(options), context)


def privoxy(directory, actions, filters=""):
    (directory / "u.action").write_text(actions)
    (directory / "u.filter").write_text(filters)
    return build(directory, actions="u.action", files="u.filter")


def asked(made, *fields, target="/", host="www.shop.example", method="GET"):
    """Give an exchange whose request has passed the filter, and the filter's answer."""
    subject = exchange(target, f"Host: {host}", *fields, method=method)
    return subject, made.request(subject)


def body(made, subject, *fields, status=200):
    response = received(*(fields or (HTML,)), status=status)
    return made.response_body(subject, response), response


def changed(made, content, *fields, **asking):
    subject, _ = asked(made, **asking)
    transform, _ = body(made, subject, *fields)
    if transform is None:
        return content
    data = transform.feed(content)
    rest = transform.finish()
    assert not isinstance(rest, Deferred)
    return data + rest


# --- rules of one's own -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "result"),
    [
        (
            {"replace": [{"match": "c(a)t", "with": "d{1}g {{1}} {x}"}]},
            b"dag {1} {x} CAT dag {1} {x}",
        ),
        ({"replace": [{"match": "cat", "with": "dog", "flags": "i"}]}, b"dog dog dog"),
        ({"replace": [{"match": "cat", "with": "dog", "once": True}]}, b"dog CAT cat"),
        ({"replace": [{"match": "^c.*", "with": "", "flags": "U"}]}, b"at CAT cat"),
        (
            {"replace": [{"match": "cat", "with": "dog"}, {"match": "dog", "with": "cow"}]},
            b"cow CAT cow",
        ),
        ({"insert": [{"before": "cat", "text": r"a \1 {0} "}]}, rb"a \1 {0} cat CAT cat"),
        ({"insert": [{"after": "C", "text": "h", "flags": ""}]}, b"cat ChAT cat"),
        ({"insert": [{"at": "start", "text": "<"}, {"at": "end", "text": ">"}]}, b"<cat CAT cat>"),
    ],
)
def test_a_rule_changes_content(rule, result):
    assert changed(build(rules=[{"name": "r", **rule}]), b"cat CAT cat") == result


def test_rules_are_for_urls_and_types():
    made = build(rules=[RULE | {"url": ".shop.example/pets/", "type": ["text/*"]}])

    assert changed(made, b"cat", target="/pets/1") == b"dog"
    assert changed(made, b"cat", "Content-Type: text/css", target="/pets/1") == b"dog"
    assert changed(made, b"cat", target="/other") == b"cat"
    assert changed(made, b"cat", target="/pets/1", host="shop.other") == b"cat"
    assert changed(made, b"cat", "Content-Type: image/png", target="/pets/1") == b"cat"
    assert changed(made, b"cat", "X: no type", target="/pets/1") == b"cat"


def test_rules_of_one_url_are_done_in_their_order():
    made = build(
        rules=[RULE, {"name": "b", "url": "/", "replace": [{"match": "dog", "with": "cow"}]}]
    )

    assert changed(made, b"cat") == b"cow"


@pytest.mark.parametrize(
    "fields",
    [
        (HTML, "Content-Encoding: dcb"),
        (HTML, "Content-Encoding: gzip, br"),
        (HTML, "Cache-Control: No-Transform"),
        (HTML, "Content-Length: 4194305"),
        ("Content-Type: text/event-stream",),
    ],
)
def test_what_is_not_filtered_is_left_alone(fields):
    made = build(rules=[RULE | {"type": "text/*"}])
    subject, _ = asked(made)
    transform, response = body(made, subject, *fields)

    assert transform is None
    assert response.changed_headers is None


def test_a_part_of_a_content_is_left_alone():
    made = build(rules=[RULE])
    transform, _ = body(made, asked(made)[0], HTML, "Content-Range: bytes 0-4/9", status=206)

    assert transform is None


def test_no_transform_can_be_ignored_and_the_client_may_say_it_too():
    made = build(rules=[RULE])
    subject, _ = asked(made, "Cache-Control: no-transform")
    assert body(made, subject, HTML)[0] is None
    assert body(made, asked(made)[0], HTML)[0] is not None

    made = build(rules=[RULE], ignore_no_transform=True)
    subject, _ = asked(made, "Cache-Control: no-transform")
    assert body(made, subject, HTML, "Cache-Control: no-transform")[0] is not None


def test_the_head_says_nothing_of_the_bytes_as_they_were():
    made = build(rules=[RULE])
    _, response = body(
        made,
        asked(made)[0],
        HTML,
        'ETag: "x"',
        "Accept-Ranges: bytes",
        "Repr-Digest: sha-256=:AA==:",
        "Vary: A",
    )

    assert response.headers.get(b"etag") == b'W/"x"'
    assert b"accept-ranges" not in response.headers
    assert b"repr-digest" not in response.headers
    assert response.headers.get(b"vary") == b"A"


def test_a_server_is_asked_for_codings_that_can_be_decoded():
    made = build(rules=[RULE | {"url": "/x"}])
    fields = "Accept-Encoding: gzip, deflate, br, zstd, dcb"

    assert (
        asked(made, fields, target="/x")[0].request.headers.get(b"accept-encoding")
        == b"gzip, br, zstd"
    )
    assert asked(made, fields, target="/y")[0].request.changed_headers is None


def test_content_over_the_limit_goes_on_as_it_came():
    made = build(rules=[RULE], buffer_limit=10)
    transform, _ = body(made, asked(made)[0])

    assert transform.feed(b"cat ") == b""
    assert transform.feed(b"cat cat ") == b"cat cat cat "
    assert transform.feed(b"cat") == b"cat"
    assert transform.finish() == b""


def test_there_is_a_limit_for_all_contents_together():
    made = build(rules=[RULE], buffer_total=10)
    first, _ = body(made, asked(made)[0])
    second, _ = body(made, asked(made)[0])

    assert first.feed(b"cat cat ") == b""
    assert second.feed(b"cat ") == b"cat "
    del first  # its exchange ended early
    third, _ = body(made, asked(made)[0])
    assert third.feed(b"cat cat ") == b""
    assert third.finish() == b"dog dog "


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"rules": [{"name": "r"}]}, "something to replace or to insert"),
        ({"rules": [RULE | {"url": "http://a/"}]}, "expected a pattern"),
        ({"rules": [RULE | {"type": "html"}]}, "expected a media type"),
        ({"rules": [{"name": "r", "replace": [{"match": "a(?=b)", "with": ""}]}]}, "look-around"),
        (
            {"rules": [{"name": "r", "replace": [{"match": r"(.)\1", "with": ""}]}]},
            "back-reference",
        ),
        (
            {"rules": [{"name": "r", "replace": [{"match": "(", "with": ""}]}]},
            "no regular expression",
        ),
        ({"rules": [{"name": "r", "replace": [{"match": "a", "with": "{1}"}]}]}, "no group {1}"),
        ({"rules": [{"name": "r", "replace": [{"match": "a", "with": "", "flags": "g"}]}]}, "imsU"),
        ({"rules": [{"name": "r", "insert": [{"text": "a"}]}]}, "one of before"),
        (
            {"rules": [{"name": "r", "insert": [{"text": "a", "at": "end", "after": "b"}]}]},
            "one of before",
        ),
        ({"rules": [RULE], "buffer_limit": "1GiB"}, "at most 64MiB"),
        ({"rules": [RULE], "time_limit": "2m"}, "at most a minute"),
        ({"files": "a.filter"}, "without actions"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, why):
    with pytest.raises(ValidationError, match=why):
        build(**options)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ConfigurationError, match=r"missing\.action cannot be read"):
        build(tmp_path, actions="missing.action")


# --- Privoxy's: answers -----------------------------------------------------------------------


def test_what_is_blocked_is_answered_403_with_the_reason(tmp_path):
    made = privoxy(tmp_path, "{+block{It is an ad.}}\n.ads.\n{-block}\nads.shop.example/fine\n")

    subject, answer = asked(made, host="ads.shop.example", target="/banner")
    assert answer.status == 403
    assert b"It is an ad" in answer.body
    assert subject.error_type == "http_request_denied"
    assert asked(made, host="ads.shop.example", target="/fine")[1] is None
    assert asked(made)[1] is None


@pytest.mark.parametrize(
    ("actions", "content_type", "size"),
    [
        ("+handle-as-image", b"image/png", 60),
        ("+handle-as-image +set-image-blocker{blank}", b"image/png", 60),
        ("+handle-as-empty-document", b"text/html", 1),
    ],
)
def test_what_is_blocked_may_be_an_image_or_nothing(tmp_path, actions, content_type, size):
    _, answer = asked(privoxy(tmp_path, f"{{+block{{x}} {actions}}}\n/\n"))

    assert answer.status == 403
    assert answer.headers.get(b"content-type") == content_type
    assert len(answer.body) >= size
    if content_type == b"image/png":
        assert answer.body.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("action", "target", "location"),
    [
        ("+redirect{http://b.example/}", "/a", b"http://b.example/"),
        (
            "+redirect{s@^http://([^/]*)/old@https://$1/new@}",
            "/old?x",
            b"https://www.shop.example/new?x",
        ),
        ("+redirect{s@old@new@}", "/other", None),
        ("+redirect{http://www.shop.example/a}", "/a", None),
        (
            "+block{x} +handle-as-image +set-image-blocker{http://b.example/x.png}",
            "/",
            b"http://b.example/x.png",
        ),
        ("+redirect{http://b.example/} -redirect", "/a", None),
    ],
)
def test_redirections(tmp_path, action, target, location):
    _, answer = asked(privoxy(tmp_path, f"{{{action}}}\n/\n"), target=target)

    assert (answer and answer.headers.get(b"location")) == location
    assert answer is None or answer.status == 302


def test_a_tunnel_is_blocked_by_its_host_and_not_redirected(tmp_path):
    made = privoxy(tmp_path, "{+block{x}}\n.ads.\n{+redirect{http://b.example/}}\n/\n")

    def tunnel(host):
        return asked(made, host=host, target=f"{host}:443", method="CONNECT")[1]

    assert tunnel("ads.example").status == 403
    assert tunnel("www.example") is None


# --- Privoxy's: fields ------------------------------------------------------------------------

FIELDS = (
    "User-Agent: Rare", "From: me@home.example", "Accept-Language: de", "Cookie: a=1", 'If-None-Match: "x"',
    "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT", "Accept-Encoding: gzip", "X-One: first", "X-Two: Second",
)  # fmt: skip


def sent(directory, actions, *fields, filters=""):
    made = privoxy(directory, f"{{{actions}}}\n/\n", filters)
    subject, _ = asked(made, *(fields or FIELDS))
    return dict(subject.request.headers)


@pytest.mark.parametrize(
    ("action", "name", "value"),
    [
        ("+hide-user-agent{Usual}", b"User-Agent", b"Usual"),
        ("+hide-from-header{block}", b"From", None),
        ("+hide-from-header{x@y.example}", b"From", b"x@y.example"),
        ("+hide-accept-language{en}", b"Accept-Language", b"en"),
        ("+hide-accept-language{block}", b"Accept-Language", None),
        ("+crunch-outgoing-cookies", b"Cookie", None),
        ("+crunch-if-none-match", b"If-None-Match", None),
        ("+hide-if-modified-since{block}", b"If-Modified-Since", None),
        ("+prevent-compression", b"Accept-Encoding", None),
        ("+crunch-client-header{X-One:}", b"X-One", None),
        ("+crunch-client-header{irst}", b"X-One", None),
        ("+crunch-client-header{second}", b"X-Two", b"Second"),
        ("+add-header{X-Three: third}", b"X-Three", b"third"),
        ("+crunch-client-header{Host}", b"Host", b"www.shop.example"),
    ],
)
def test_an_action_on_a_request(tmp_path, action, name, value):
    fields = sent(tmp_path, action)

    assert fields.pop(name, None) == value
    assert len(fields) >= len(FIELDS)


def test_what_is_hidden_is_not_shown_to_who_had_none(tmp_path):
    fields = sent(
        tmp_path, "+hide-user-agent{Usual} +hide-from-header{x} +hide-referrer{forge}", "X: y"
    )

    assert set(fields) == {b"Host", b"X"}


@pytest.mark.parametrize(
    ("parameter", "referrer", "expected"),
    [
        ("block", "http://www.shop.example/a", None),
        ("conditional-block", "http://www.shop.example/a", b"http://www.shop.example/a"),
        ("conditional-block", "http://www.shop.example", b"http://www.shop.example"),
        ("conditional-block", "http://www.shop.example.evil/", None),
        ("conditional-block", "http://other.example/a", None),
        ("forge", "http://other.example/a", b"http://www.shop.example/"),
        ("forge", "http://www.shop.example/a", b"http://www.shop.example/"),
        ("conditional-forge", "http://www.shop.example/a", b"http://www.shop.example/a"),
        ("conditional-forge", "http://other.example/a", b"http://www.shop.example/"),
        ("http://said.example/", "http://other.example/a", b"http://said.example/"),
    ],
)
def test_hide_referrer(tmp_path, parameter, referrer, expected):
    fields = sent(tmp_path, f"+hide-referrer{{{parameter}}}", f"Referer: {referrer}")

    assert fields.get(b"Referer") == expected


REQUEST_FILTER = r"""
CLIENT-HEADER-FILTER: f
s/^X-One: .*//
s/^X-Two: (.*)/X-Zwei: $1!/
s/^Cookie: .*/not a field/
s/^User-Agent: .*/Content-Length: 5/
s/^Host: .*/Host: evil.example/
s/^From: .*/From: $origin at $host/D
"""


def test_a_filter_of_request_fields(tmp_path):
    fields = sent(
        tmp_path, "+client-header-filter{f} +add-header{X-One: mine}", filters=REQUEST_FILTER
    )

    assert fields[b"X-One"] == b"mine"  # what is added is not filtered
    assert fields[b"X-Zwei"] == b"Second!"
    assert fields[b"Cookie"] == b"a=1"  # a line that is no field any more stays
    assert fields[b"User-Agent"] == b"Rare"  # the proxy's own are not for filters
    assert fields[b"Host"] == b"www.shop.example"
    assert fields[b"From"] == b"192.0.2.1 at www.shop.example"


def told(directory, actions, filters=""):
    made = privoxy(directory, f"{{{actions}}}\n/\n", filters)
    subject, _ = asked(made)
    response = received(
        HTML, "Set-Cookie: a=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT; Path=/; Max-Age=5", "Set-Cookie: b=2",
        "Content-Disposition: attachment", "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT", "X-One: first",
    )  # fmt: skip
    made.response(subject, response)
    return response.headers


@pytest.mark.parametrize(
    ("action", "name", "values"),
    [
        ("+crunch-incoming-cookies", b"Set-Cookie", []),
        ("+session-cookies-only", b"Set-Cookie", [b"a=1; Path=/", b"b=2"]),
        ("+limit-cookie-lifetime{0}", b"Set-Cookie", [b"a=1; Path=/", b"b=2"]),
        ("+crunch-server-header{X-One}", b"X-One", []),
        ("+content-type-overwrite{text/plain}", b"Content-Type", [b"text/plain"]),
        ("+hide-content-disposition{block}", b"Content-Disposition", []),
        ("+hide-content-disposition{inline}", b"Content-Disposition", [b"inline"]),
        ("+overwrite-last-modified{block}", b"Last-Modified", []),
        ("+server-header-filter{f}", b"X-One", [b"FIRST"]),
    ],
)
def test_an_action_on_a_response(tmp_path, action, name, values):
    headers = told(tmp_path, action, "SERVER-HEADER-FILTER: f\ns/: first/: FIRST/\n")

    assert headers.get_all(name) == values
    assert len(headers) == 6 - {b"Set-Cookie": 2}.get(name, 1) + len(values)


def test_a_response_was_modified_when_it_was_asked_for(tmp_path):
    assert (
        not told(tmp_path, "+overwrite-last-modified{reset-to-request-time}")
        .get(b"last-modified")
        .endswith(b"1970 00:00:00 GMT")
    )


def test_answers_of_the_proxys_own_are_left_alone(tmp_path):
    made = privoxy(tmp_path, "{+crunch-server-header{X-}}\n/\n")
    subject, _ = asked(made)
    response = Response(403, [(b"X-Own", b"1")])
    made.response(subject, response)

    assert b"X-Own" in response.headers


def test_who_changes_no_responses_runs_no_code_for_them(tmp_path):
    assert not IResponseFilter.providedBy(build(rules=[RULE]))
    assert not IResponseFilter.providedBy(
        privoxy(tmp_path, "{+block{x} -server-header-filter}\n/\n")
    )
    assert IResponseFilter.providedBy(privoxy(tmp_path, "{+crunch-incoming-cookies}\n/\n"))


# --- Privoxy's: content and tags --------------------------------------------------------------

FILTERS = "FILTER: a\ns/cat/dog/g\nFILTER: b\ns/dog/cow/g\nFILTER: c\ns/cat/$host/D\n"


@pytest.mark.parametrize(
    ("actions", "result"),
    [
        ("{+filter{a}}\n/\n", b"dog"),
        ("{+filter{a} +filter{b}}\n/\n", b"cow"),
        ("{+filter{b} +filter{a}}\n/\n", b"dog"),
        ("{+filter{a}}\n/\n{-filter{a}}\n.shop.example\n", b"cat"),
        (
            "{+filter{a} +filter{b}}\n/\n{-filter}\n.shop.example\n{+filter{c}}\nwww.\n",
            b"www.shop.example",
        ),
    ],
)
def test_filters_of_content(tmp_path, actions, result):
    assert changed(privoxy(tmp_path, actions, FILTERS), b"cat") == result


def test_rules_of_ones_own_come_before_privoxys(tmp_path):
    (tmp_path / "u.action").write_text("{+filter{b}}\n/\n")
    (tmp_path / "u.filter").write_text(FILTERS)
    made = build(tmp_path, rules=[RULE], actions="u.action", files="u.filter")

    assert changed(made, b"cat") == b"cow"


def test_which_types_are_filtered(tmp_path):
    made = privoxy(tmp_path, "{+filter{a}}\n/\n{+force-text-mode}\n/forced\n", FILTERS)

    assert changed(made, b"cat", "Content-Type: application/javascript") == b"dog"
    assert changed(made, b"cat", "Content-Type: text/plain") == b"cat"
    assert changed(made, b"cat", "Content-Type: application/json") == b"cat"
    assert changed(made, b"cat", "Content-Type: application/json", target="/forced") == b"dog"


TAGGERS = (
    FILTERS + "CLIENT-HEADER-TAGGER: ranges\ns/^Range:.*/RANGE/i\n"
    "CLIENT-HEADER-TAGGER: method\ns@^(\\w+) .* HTTP/1.1$@method-$1@\n"
    "SERVER-HEADER-TAGGER: type\ns@^Content-Type:\\s*([^;]+).*@$1@i\n"
)


def test_tags_of_requests_decide(tmp_path):
    made = privoxy(
        tmp_path,
        "{-filter}\nTAG:^RANGE$\n{+block{no}}\nTAG:^method-PUT$\n"
        "{+filter{a} +client-header-tagger{ranges} +client-header-tagger{method}}\n/\n",
        TAGGERS,
    )

    subject, _ = asked(made, "Range: bytes=0-5")
    assert body(made, subject)[0] is None  # although the section that turns it on comes later
    subject, _ = asked(made)
    assert body(made, subject)[0] is not None
    assert asked(made, method="PUT")[1].status == 403


def test_a_tag_can_be_suppressed(tmp_path):
    made = privoxy(
        tmp_path,
        "{+client-header-tagger{method} +suppress-tag{method-PUT}}\n/\n{+block{no}}\nTAG:^method\n",
        TAGGERS,
    )

    assert asked(made, method="PUT")[1] is None
    assert asked(made)[1].status == 403


def test_tags_of_responses_decide(tmp_path):
    made = privoxy(
        tmp_path,
        "{+server-header-tagger{type}}\n/\n{+filter{a}}\nTAG:^text/html$\n{+block{an image}}\nTAG:^image/\n",
        TAGGERS,
    )
    subject, _ = asked(made)
    response = received(HTML)
    assert made.response(subject, response) is None
    assert made.response_body(subject, response) is not None
    subject, _ = asked(made)
    assert made.response(subject, received("Content-Type: image/png")).status == 403
