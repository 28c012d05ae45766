"""What a demanding suite of cache tests asks for, beyond what ``test_cache.py`` holds."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tests.integration.cached import ask, cache_says, content, field, fresh, serving, status
from tests.scripted import exchange, read_until

CONFIGURATION = """
[cache.main]
size = "8MiB"
[pool.a]
servers = ["{url}"]
retries = 0
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.routes]]
pool = "a"
[reverse.a.routes.cache]
use = "main"
[[reverse.a.routes.cache.rules]]
path = "/errors/"
allow_errors = true
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, site):
    directory = tmp_path_factory.mktemp("cache")
    with serving(directory, CONFIGURATION, url=site.url) as running:
        yield running


# --- statuses ---------------------------------------------------------------------------------


def test_a_status_above_599_reaches_the_client_and_is_not_stored(proxy, site):
    site.put(b"/999", fresh(), b"no robots", b"999 Request denied")

    for _ in range(2):
        answer = exchange(proxy.address, ask(b"/999"))
        assert answer.startswith(b"HTTP/1.1 999 Request denied\r\n")
        assert content(answer) == b"no robots"
    assert site.count(b"/999") == 2


def test_an_unknown_success_that_says_how_long_it_is_fresh_is_stored(proxy, site):
    site.put(b"/299", fresh(), b"fine", b"299 Whatever")

    for _ in range(2):
        answer = exchange(proxy.address, ask(b"/299"))
    assert answer.startswith(b"HTTP/1.1 299 Whatever\r\n")
    assert cache_says(answer).startswith(b"hit")


@pytest.mark.parametrize("line", [b"400 No", b"429 Slow", b"500 Oops", b"503 Busy", b"999 No"])
def test_a_rule_may_allow_errors_that_say_how_long_they_are_fresh(proxy, site, line):
    path = b"/errors/" + line[:3]
    site.put(path, fresh(), b"wrong", line)
    site.put(path + b"-silent", b"", b"wrong", line)

    for _ in range(2):
        answer = exchange(proxy.address, ask(path))
        silent = exchange(proxy.address, ask(path + b"-silent"))
    assert (status(answer), content(answer)) == (line[:3], b"wrong")
    assert cache_says(answer).startswith(b"hit")
    assert not cache_says(silent).startswith(b"hit")


def test_a_stored_error_stands_in_for_a_server_that_is_gone_but_for_no_newer_error(proxy, site):
    fields = b"Cache-Control: max-age=10, stale-if-error=600\r\nAge: 100\r\n"
    site.put(b"/errors/older", fields, b"older", b"500 Oops")
    exchange(proxy.address, ask(b"/errors/older"))
    site.answers[b"/errors/older"] = lambda connection, head: connection.shutdown(socket.SHUT_RDWR)
    gone = exchange(proxy.address, ask(b"/errors/older"))
    site.put(b"/errors/older", b"Retry-After: 5\r\n", b"newer", b"503 Busy")
    busy = exchange(proxy.address, ask(b"/errors/older"))

    assert (status(gone), content(gone)) == (b"500", b"older")
    assert (status(busy), content(busy)) == (b"503", b"newer")
    assert field(busy, b"Retry-After") == b"5"


def test_what_a_range_provoked_is_never_stored(proxy, site):
    site.put(b"/errors/416", fresh(), b"", b"416 Range Not Satisfiable")
    refused = exchange(proxy.address, ask(b"/errors/416", b"Range: bytes=90-\r\n"))
    site.put(b"/errors/416", fresh(), b"whole")

    assert status(refused) == b"416"
    assert content(exchange(proxy.address, ask(b"/errors/416"))) == b"whole"


def test_a_missing_page_with_a_date_is_guessed_to_stay_away_for_a_while(proxy, site):
    site.put(
        b"/missing", b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n", b"no", b"404 Not Found"
    )

    exchange(proxy.address, ask(b"/missing"))
    answer = exchange(proxy.address, ask(b"/missing"))

    assert cache_says(answer).partition(b"; ttl=")[2] in (b"120", b"119", b"118")


# --- fields -----------------------------------------------------------------------------------


@pytest.mark.parametrize("directive", [b"private", b"no-cache"])
def test_a_field_that_a_directive_names_is_for_who_asked_and_nobody_after(proxy, site, directive):
    path = b"/named/" + directive
    site.put(
        path,
        b'Cache-Control: max-age=60, %s="set-cookie, x-user"\r\n' % directive
        + b"Set-Cookie: session=1\r\nX-User: 1\r\nX-All: 1\r\n",
    )

    first = exchange(proxy.address, ask(path))
    second = exchange(proxy.address, ask(path))

    assert (field(first, b"Set-Cookie"), field(first, b"X-User")) == (b"session=1", b"1")
    assert (field(second, b"Set-Cookie"), field(second, b"X-User")) == (None, None)
    assert field(first, b"X-All") == field(second, b"X-All") == b"1"
    assert site.count(path) == 1


def test_nobody_of_a_crowd_but_who_asked_gets_a_field_that_a_directive_names(proxy, site):
    gate = threading.Event()

    def answer(connection, head):
        gate.wait(5)
        connection.sendall(
            b'HTTP/1.1 200 OK\r\nCache-Control: max-age=60, private="set-cookie"\r\n'
            b"Set-Cookie: session=1\r\nContent-Length: 2\r\n\r\nok"
        )

    site.answers[b"/named/crowd"] = answer
    clients = []
    for _ in range(5):
        clients.append(socket.create_connection(proxy.address, timeout=5))
        clients[-1].sendall(ask(b"/named/crowd"))
    deadline = time.monotonic() + 5
    while not site.count(b"/named/crowd") and time.monotonic() < deadline:
        time.sleep(0.01)
    gate.set()
    answers = [read_until(client, b"\r\n\r\nok") for client in clients]
    for client in clients:
        client.close()

    assert all(status(each) == b"200" for each in answers)
    assert sum(field(each, b"Set-Cookie") is not None for each in answers) == 1
    assert site.count(b"/named/crowd") == 1


def test_a_content_range_in_a_200_is_stored_and_not_taken_for_that_of_a_part(proxy, site):
    site.put(b"/odd-range", fresh() + b"Content-Range: nonsense\r\n", b"0123456789")
    exchange(proxy.address, ask(b"/odd-range"))

    whole = exchange(proxy.address, ask(b"/odd-range"))
    part = exchange(proxy.address, ask(b"/odd-range", b"Range: bytes=2-3\r\n"))

    assert field(whole, b"Content-Range") == b"nonsense"
    assert (status(part), content(part)) == (b"206", b"23")
    assert part.count(b"Content-Range:") == 1
    assert field(part, b"Content-Range") == b"bytes 2-3/10"
    assert site.count(b"/odd-range") == 1


def test_a_304_updates_the_content_type_and_leaves_the_coding_alone(proxy, site):
    site.put(
        b"/typed",
        fresh(age=100) + b"Content-Type: text/plain\r\nContent-Encoding: x-own\r\nX-Kept: 1\r\n",
        b"stored",
    )
    exchange(proxy.address, ask(b"/typed"))
    site.put(
        b"/typed",
        b'ETag: "v1"\r\nCache-Control: max-age=60\r\nContent-Type: text/plain;charset=utf-8\r\n'
        b"Content-Encoding: gzip\r\n",
        b"",
        b"304 Not Modified",
    )

    exchange(proxy.address, ask(b"/typed"))
    answer = exchange(proxy.address, ask(b"/typed"))

    assert cache_says(answer).startswith(b"hit")
    assert field(answer, b"Content-Type") == b"text/plain;charset=utf-8"
    assert field(answer, b"Content-Encoding") == b"x-own"
    assert field(answer, b"X-Kept") == b"1"
    assert content(answer) == b"stored"


def test_fields_that_a_head_does_not_bring_stay(proxy, site):
    site.put(b"/head-kept", fresh(age=100) + b"X-Kept: 1\r\nX-New: 1\r\n", b"stored")
    exchange(proxy.address, ask(b"/head-kept"))
    site.answers[b"/head-kept"] = (
        b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: "v1"\r\nX-New: 2\r\n'
        b"Cache-Control: max-age=60\r\n\r\n"
    )

    exchange(proxy.address, ask(b"/head-kept", method=b"HEAD"))
    answer = exchange(proxy.address, ask(b"/head-kept"))

    assert cache_says(answer).startswith(b"hit")
    assert (field(answer, b"X-Kept"), field(answer, b"X-New")) == (b"1", b"2")


# --- validators -------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", [b"abc-123", b'w/"abc"'])
def test_an_entity_tag_without_its_quotes_is_sent_back_and_equal_to_itself(proxy, site, tag):
    path = b"/unquoted/" + tag[:1]
    site.put(path, b"Cache-Control: max-age=60\r\nAge: 100\r\nETag: %s\r\n" % tag, b"stored")
    exchange(proxy.address, ask(path))
    site.put(path, b"ETag: %s\r\nCache-Control: max-age=60\r\n" % tag, b"", b"304 Not Modified")

    validated = exchange(proxy.address, ask(path))
    condition = exchange(proxy.address, ask(path, b"If-None-Match: %s\r\n" % tag))
    other = exchange(proxy.address, ask(path, b"If-None-Match: %s\r\n" % tag[1:]))

    assert b"If-None-Match: %s" % tag in site.last(path)
    assert content(validated) == b"stored"
    assert status(condition) == b"304"
    assert status(other) == b"200"
    assert site.count(path) == 2


# --- variants ---------------------------------------------------------------------------------


def by_language(connection, head, tag=b'"en"'):
    """Answer as a server does that has one text for two languages."""
    fields = b"Vary: Accept-Language\r\nCache-Control: max-age=60\r\nETag: %s\r\n" % tag
    if b"If-None-Match: " + tag in head:
        connection.sendall(b"HTTP/1.1 304 Not Modified\r\nX-Seen: 2\r\n%s\r\n" % fields)
    else:
        connection.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Length: 5\r\n\r\nhello" % fields)


def in_language(proxy, path, language, extra=b""):
    return exchange(proxy.address, ask(path, b"Accept-Language: %s\r\n" % language + extra))


def test_the_server_may_choose_a_variant_that_other_fields_had_selected(proxy, site):
    site.answers[b"/vary/one"] = by_language
    in_language(proxy, b"/vary/one", b"en")

    chosen = in_language(proxy, b"/vary/one", b"fr")
    again = in_language(proxy, b"/vary/one", b"fr")
    first = in_language(proxy, b"/vary/one", b"en")

    assert b'If-None-Match: "en"' in site.last(b"/vary/one")
    assert (status(chosen), content(chosen)) == (b"200", b"hello")
    assert cache_says(chosen) == b"fwd=vary-miss; fwd-status=304"
    assert field(chosen, b"X-Seen") == b"2"
    assert cache_says(again).startswith(b"hit")
    assert content(again) == b"hello"
    assert cache_says(first).startswith(b"hit")
    assert field(first, b"X-Seen") is None, "it could not have been chosen for that request"
    assert site.count(b"/vary/one") == 2


def test_all_variants_are_offered_and_the_tag_says_which_is_chosen(proxy, site):
    def answer(connection, head):
        offered = head.lower().partition(b"if-none-match: ")[2].partition(b"\r\n")[0]
        language = head.partition(b"Accept-Language: ")[2][:2]
        fields = b"Vary: Accept-Language\r\nCache-Control: max-age=60\r\n"
        if b'"de"' in offered:
            connection.sendall(b'HTTP/1.1 304 Not Modified\r\nETag: "de"\r\n%s\r\n' % fields)
            return
        fields += b'ETag: "%s"\r\n' % language
        connection.sendall(b"HTTP/1.1 200 OK\r\n%sContent-Length: 2\r\n\r\n%s" % (fields, language))

    site.answers[b"/vary/many"] = answer
    for language in (b"en", b"de"):
        assert content(in_language(proxy, b"/vary/many", language)) == language

    assert content(in_language(proxy, b"/vary/many", b"fr")) == b"de"
    offered = site.last(b"/vary/many").partition(b"If-None-Match: ")[2].partition(b"\r\n")[0]
    assert sorted(offered.split(b", ")) == [b'"de"', b'"en"']


def test_the_clients_own_condition_is_answered_out_of_the_variant_that_was_chosen(proxy, site):
    site.answers[b"/vary/condition"] = by_language
    in_language(proxy, b"/vary/condition", b"en")

    known = in_language(proxy, b"/vary/condition", b"fr", b'If-None-Match: "en"\r\n')
    unknown = in_language(proxy, b"/vary/condition", b"it", b'If-None-Match: "xx"\r\n')

    assert status(known) == b"304"
    assert (status(unknown), content(unknown)) == (b"200", b"hello")


def test_a_304_that_chooses_nothing_that_is_stored_is_asked_again(proxy, site):
    site.answers[b"/vary/none"] = by_language
    in_language(proxy, b"/vary/none", b"en")
    site.answers[b"/vary/none"] = lambda connection, head: connection.sendall(
        b'HTTP/1.1 304 Not Modified\r\nETag: "zz"\r\n\r\n'
        if b"If-None-Match" in head
        else b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"
    )

    assert content(in_language(proxy, b"/vary/none", b"fr")) == b"new"


@pytest.mark.parametrize("tag", [b'W/"en"', b"en"])
def test_a_variant_without_a_strong_tag_is_not_offered(proxy, site, tag):
    path = b"/vary/weak" + tag[:1]
    site.answers[path] = lambda connection, head: by_language(connection, head, tag)
    in_language(proxy, path, b"en")

    in_language(proxy, path, b"fr")

    assert b"If-None-Match" not in site.last(path)


def test_a_variant_in_a_coding_that_the_client_cannot_read_is_not_offered(proxy, site):
    """Some servers give one tag to all codings: their 304 would be taken for the wrong one."""
    site.put(
        b"/vary/coding",
        fresh() + b"Vary: Accept-Encoding\r\nContent-Encoding: gzip\r\n",
        b"packed",
    )
    exchange(proxy.address, ask(b"/vary/coding", b"Accept-Encoding: gzip\r\n"))
    site.put(b"/vary/coding", fresh() + b"Vary: Accept-Encoding\r\n", b"plain")

    answer = exchange(proxy.address, ask(b"/vary/coding", b"Accept-Encoding: br\r\n"))
    assert b"If-None-Match" not in site.last(b"/vary/coding")
    assert content(answer) == b"plain"

    exchange(proxy.address, ask(b"/vary/coding", b"Accept-Encoding: gzip, br\r\n"))
    assert site.last(b"/vary/coding").count(b'If-None-Match: "v1"') == 1


# --- parts ------------------------------------------------------------------------------------


def test_a_part_without_a_validator_is_reused_as_it_is_and_in_smaller_parts(proxy, site):
    site.put(
        b"/part",
        b"Cache-Control: max-age=60\r\nContent-Range: bytes 5-9/10\r\n",
        b"56789",
        b"206 Partial Content",
    )
    for spec, expected in ((b"-5", b"56789"), (b"5-9", b"56789"), (b"6-", b"6789"), (b"-1", b"9")):
        answer = exchange(proxy.address, ask(b"/part", b"Range: bytes=%s\r\n" % spec))
        assert (status(answer), content(answer)) == (b"206", expected)

    assert site.count(b"/part") == 1


def test_a_part_whose_length_is_not_what_its_range_says_is_not_stored(proxy, site):
    site.put(
        b"/wrong-part",
        b"Cache-Control: max-age=60\r\nContent-Range: bytes 4-9/10\r\n",
        b"01234",
        b"206 Partial Content",
    )
    for _ in range(2):
        exchange(proxy.address, ask(b"/wrong-part", b"Range: bytes=-5\r\n"))

    assert site.count(b"/wrong-part") == 2


# --- interim responses ------------------------------------------------------------------------


@pytest.mark.parametrize("interim", [b"102 Processing", b"103 Early Hints"])
def test_an_interim_response_reaches_who_asked_and_is_no_part_of_what_is_stored(
    proxy, site, interim
):
    path = b"/interim/" + interim[:3]
    site.answers[path] = lambda connection, head: connection.sendall(
        b"HTTP/1.1 %s\r\nLink: </a.css>\r\nX-Early: 1\r\n\r\n" % interim
        + b"HTTP/1.1 200 OK\r\n"
        + fresh()
        + b"Content-Length: 2\r\n\r\nok"
    )

    first = exchange(proxy.address, ask(path))
    second = exchange(proxy.address, ask(path))

    early, _, final = first.partition(b"\r\n\r\n")
    assert early.startswith(b"HTTP/1.1 " + interim)
    assert b"X-Early: 1" in early
    assert final.startswith(b"HTTP/1.1 200 ")
    assert b"X-Early" not in final
    assert second.startswith(b"HTTP/1.1 200 ")
    assert b"X-Early" not in second
    assert site.count(path) == 1


# --- targeted fields --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("targeted", "general", "stored"),
    [
        (b"max-age=60", b"no-store", True),
        (b"max-age=99999999999", b"max-age=0", True),
        (b"foobar, max-age=60", b"max-age=0", True),
        (b"max-age=0", b"max-age=60", False),
        (b"no-store", b"max-age=60", False),
        (b"private", b"max-age=60", False),
        (b"no-cache", b"max-age=60", False),
        (b"max-age=60, &&&&&", b"no-store", False),
        (b'max-age="60"', b"no-store", False),
        (b"max-age=60.5", b"no-store", False),
        (b"max-age =60", b"no-store", False),
        (b"MaX-aGe=60", b"no-store", False),
    ],
)
def test_cdn_cache_control_counts_when_it_is_a_structured_field(
    proxy, site, targeted, general, stored
):
    path = b"/targeted/" + targeted.hex().encode()
    site.put(path, b"Cache-Control: %s\r\nCDN-Cache-Control: %s\r\n" % (general, targeted))

    for _ in range(2):
        answer = exchange(proxy.address, ask(path))

    assert cache_says(answer).startswith(b"hit") is stored
    assert field(answer, b"CDN-Cache-Control") == targeted
