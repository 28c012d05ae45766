"""Requirements of RFC 9110, 9111, 9211 and 9213 that only sockets show; see tests/caching/."""

from __future__ import annotations

import socket
import time
from email.utils import formatdate

import pytest

from tests.integration.cached import (
    DIGITS,
    ask,
    cache_says,
    content,
    crowd,
    field,
    fresh,
    gate,
    ranged,
    serving,
    status,
    until,
)
from tests.scripted import exchange

CONFIGURATION = """
[cache.main]
store = "memory"
size = "8MiB"
[pool.a]
servers = ["{url}"]
retries = 0
[reverse.a]
listen = ["127.0.0.1:{port}"]
[[reverse.a.routes]]
pool = "a"
cache = "main"
"""


@pytest.fixture(scope="module")
def proxy(tmp_path_factory, site):
    directory = tmp_path_factory.mktemp("requirements")
    with serving(directory, CONFIGURATION, url=site.url) as running:
        yield running


def lines(answer, name):
    """Give the values of all lines of a field."""
    head = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    pairs = [line.partition(b": ") for line in head]
    return [value for key, _, value in pairs if key.lower() == name.lower()]


def dated(seconds_ago):
    return formatdate(time.time() - seconds_ago, usegmt=True).encode()


# --- RFC 9111 section 3: storing --------------------------------------------------------------


def test_trailers_never_become_fields(proxy, site):
    site.answers[b"/trailers"] = (
        b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n"
        b"Trailer: X-Late\r\n\r\n3\r\nabc\r\n0\r\nX-Late: 1\r\nCache-Control: no-store\r\n\r\n"
    )
    exchange(proxy.address, ask(b"/trailers"))

    answer = exchange(proxy.address, ask(b"/trailers"))

    assert cache_says(answer).startswith(b"hit")
    assert content(answer) == b"abc"
    assert b"X-Late: 1" not in answer
    assert lines(answer, b"Cache-Control") == [b"max-age=60"]


def test_fields_for_one_user_reach_the_one_who_asked_and_are_not_stored(proxy, site):
    control = b'Cache-Control: max-age=60, private="Set-Cookie", no-cache="X-Once"\r\n'
    site.put(b"/named", control + b"Set-Cookie: a=1\r\nX-Once: 1\r\n", b"stored")

    own = exchange(proxy.address, ask(b"/named"))
    others = exchange(proxy.address, ask(b"/named"))

    assert field(own, b"Set-Cookie") == b"a=1"
    assert field(own, b"X-Once") == b"1"
    assert cache_says(others).startswith(b"hit")
    assert field(others, b"Set-Cookie") is None
    assert field(others, b"X-Once") is None


def test_fields_for_one_user_in_a_304_reach_the_one_who_asked(proxy, site):
    control = b'Cache-Control: max-age=%d, private="Set-Cookie"\r\nETag: "v1"\r\n'
    site.put(b"/named-304", control % 0, b"stored")
    exchange(proxy.address, ask(b"/named-304"))
    site.put(b"/named-304", control % 60 + b"Set-Cookie: a=1\r\n", b"", b"304 Not Modified")

    own = exchange(proxy.address, ask(b"/named-304"))
    others = exchange(proxy.address, ask(b"/named-304"))

    assert (content(own), field(own, b"Set-Cookie")) == (b"stored", b"a=1")
    assert (content(others), field(others, b"Set-Cookie")) == (b"stored", None)
    assert site.count(b"/named-304") == 2


def test_a_part_in_a_unit_that_is_not_understood_is_passed_on_and_not_stored(proxy, site):
    site.answers[b"/unit"] = (
        b"HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\n"
        b'ETag: "a"\r\nContent-Range: lines 0-1/2\r\nContent-Length: 2\r\n\r\nab'
    )
    for _ in range(2):
        answer = exchange(proxy.address, ask(b"/unit", b"Range: bytes=0-1\r\n"))
        assert (status(answer), field(answer, b"Content-Range")) == (b"206", b"lines 0-1/2")

    assert site.count(b"/unit") == 2


def test_a_part_never_stands_for_the_whole(proxy, site):
    site.answers[b"/part"] = lambda connection, head: connection.sendall(ranged(head))
    exchange(proxy.address, ask(b"/part", b"Range: bytes=0-4\r\n"))

    head = exchange(proxy.address, ask(b"/part", method=b"HEAD"))
    further = exchange(proxy.address, ask(b"/part", b"Range: bytes=3-6\r\n"))

    assert site.count(b"/part") == 3
    assert field(head, b"Content-Length") == b"10"
    assert content(further) == b"3456"


def test_a_combined_whole_says_its_length_and_its_newest_fields(proxy, site):
    for number, spec in enumerate((b"0-3", b"4-9")):
        site.answers[b"/joined"] = lambda connection, head, number=number: connection.sendall(
            ranged(head).replace(b"ETag", b"X-Number: %d\r\nETag" % number)
        )
        exchange(proxy.address, ask(b"/joined", b"Range: bytes=%s\r\n" % spec))

    whole = exchange(proxy.address, ask(b"/joined"))

    assert (status(whole), content(whole)) == (b"200", DIGITS)
    assert lines(whole, b"Content-Length") == [b"10"]
    assert lines(whole, b"X-Number") == [b"1"]
    assert lines(whole, b"Content-Range") == []
    assert site.count(b"/joined") == 2


def test_what_says_no_store_is_never_written_to_disk(tmp_path, site):
    memory, disk = 'store = "memory"\nsize = "8MiB"', 'store = "disk"\ndirectory = "store"'
    on_disk = CONFIGURATION.replace(memory, disk + '\nsize = "16MiB"\nmin_free = 0')
    refused = b"Cache-Control: no-store\r\n"

    def written(mark):
        files = [each for each in (tmp_path / "store").rglob("*") if each.is_file()]
        return any(mark in each.read_bytes() for each in files)

    with serving(tmp_path, on_disk, url=site.url) as proxy:
        for path, fields, extra in (
            (b"/said-by-server", refused + fresh(), b""),
            (b"/said-by-client", fresh(), refused),
            (b"/stored", fresh(), b""),
        ):
            site.put(path, fields, b"content of %s;" % path * 500)
            exchange(proxy.address, ask(path, extra))
        # What is written is written in the order in which it came.
        until(lambda: written(b"content of /stored;"))

        assert not written(b"content of /said-by-server;")
        assert not written(b"content of /said-by-client;")


# --- RFC 9111 section 4: reuse ----------------------------------------------------------------


@pytest.mark.parametrize("extra", [b"", b"Range: bytes=0-1\r\n", b'If-None-Match: "v1"\r\n'])
def test_age_is_the_caches_own_and_stands_there_once(proxy, site, extra):
    site.put(b"/age", fresh(age=30), b"stored")
    exchange(proxy.address, ask(b"/age"))

    answer = exchange(proxy.address, ask(b"/age", extra))

    assert cache_says(answer).startswith(b"hit")
    assert [int(value) in (30, 31, 32) for value in lines(answer, b"Age")] == [True]


def test_a_stored_response_to_get_answers_no_other_method(proxy, site):
    site.put(b"/method", fresh(), b"stored")
    exchange(proxy.address, ask(b"/method"))
    site.put(b"/method", b"", b"asked")

    for method in (b"OPTIONS", b"PROPFIND", b"POST"):
        # Conditions are nothing to be judged here (RFC 9110 section 13.2.1).
        answer = exchange(proxy.address, ask(b"/method", b'If-None-Match: "v1"\r\n', method))
        assert (status(answer), content(answer)) == (b"200", b"asked")
        assert b'If-None-Match: "v1"' in site.last(b"/method")


def test_a_response_without_vary_gives_way_to_one_that_has_it(proxy, site):
    control = b"Cache-Control: max-age=600\r\nDate: %s\r\n"
    site.put(b"/default", control % dated(50) + b"Vary: X-Kind\r\n", b"chosen")
    exchange(proxy.address, ask(b"/default", b"X-Kind: 1\r\n"))
    # The server forgot Vary in its answer to who expressed no preference.
    site.put(b"/default", control % dated(10), b"default")
    exchange(proxy.address, ask(b"/default"))

    assert content(exchange(proxy.address, ask(b"/default", b"X-Kind: 1\r\n"))) == b"chosen"
    assert content(exchange(proxy.address, ask(b"/default", b"X-Kind: 2\r\n"))) == b"default"
    assert site.count(b"/default") == 2


def test_what_is_used_stale_is_visibly_stale(proxy, site):
    control = b"Cache-Control: max-age=10, %s\r\nAge: 100\r\n"
    for path, said, extra in (
        (b"/stale-asked", b"public", b"Cache-Control: max-stale\r\n"),
        (b"/stale-meanwhile", b"stale-while-revalidate=600", b""),
        (b"/stale-on-error", b"stale-if-error=600", b""),
    ):
        site.put(path, control % said + b'ETag: "v1"\r\n', b"stored")
        exchange(proxy.address, ask(path))
        site.answers[path] = lambda connection, head: connection.shutdown(socket.SHUT_RDWR)

        answer = exchange(proxy.address, ask(path, extra))

        assert content(answer) == b"stored"
        assert cache_says(answer).startswith(b"hit; ttl=-9")
        assert int(field(answer, b"Age")) >= 100


def test_what_is_stale_is_not_used_without_leave_though_the_server_is_gone(proxy, site):
    site.put(b"/no-leave", fresh(age=100), b"stored")
    exchange(proxy.address, ask(b"/no-leave"))
    site.answers[b"/no-leave"] = lambda connection, head: connection.shutdown(socket.SHUT_RDWR)

    assert status(exchange(proxy.address, ask(b"/no-leave"))) == b"502"


# --- RFC 9111 section 4.3: validation ---------------------------------------------------------


def test_a_condition_is_not_judged_where_what_is_stored_cannot_answer(proxy, site):
    site.answers[b"/judged"] = lambda connection, head: connection.sendall(ranged(head))
    exchange(proxy.address, ask(b"/judged", b"Range: bytes=0-4\r\n"))
    condition = b'If-None-Match: "r1"\r\n'

    within = exchange(proxy.address, ask(b"/judged", condition + b"Range: bytes=1-2\r\n"))
    assert (status(within), site.count(b"/judged")) == (b"304", 1)
    exchange(proxy.address, ask(b"/judged", condition))
    assert site.count(b"/judged") == 2


def test_the_tag_of_a_part_validates_no_whole(proxy, site):
    site.answers[b"/tag"] = lambda connection, head: connection.sendall(
        ranged(head).replace(b"max-age=60", b"max-age=0")
    )
    exchange(proxy.address, ask(b"/tag", b"Range: bytes=0-4\r\n"))

    exchange(proxy.address, ask(b"/tag", b'If-None-Match: "x"\r\n'))

    assert site.count(b"/tag") == 2
    assert b"If-None-Match" not in site.last(b"/tag")


def test_a_304_with_a_tag_that_the_client_has_not_is_a_200_for_it(proxy, site):
    site.put(b"/not-mine", fresh(age=100), b"stored")
    exchange(proxy.address, ask(b"/not-mine"))
    site.put(b"/not-mine", fresh() + b"X-New: 1\r\n", b"", b"304 Not Modified")

    answer = exchange(proxy.address, ask(b"/not-mine", b'If-None-Match: "mine"\r\n'))

    assert (status(answer), content(answer)) == (b"200", b"stored")
    assert field(answer, b"X-New") == b"1"


def two_variants(proxy, site, path, tag):
    """Store two responses that both fit ``X-A: 1, X-B: 1``; have a 304 validate them."""
    control = b"Cache-Control: max-age=600\r\nETag: %s\r\n" % tag
    site.put(path, control + b"Vary: X-A\r\nDate: %s\r\n" % dated(60), b"older")
    exchange(proxy.address, ask(path, b"X-A: 1\r\n"))
    site.put(path, control + b"Vary: X-B\r\nDate: %s\r\n" % dated(30), b"newer")
    exchange(proxy.address, ask(path, b"X-A: 2\r\nX-B: 1\r\n"))
    site.put(path, control, b"", b"304 Not Modified")
    answer = ask_for_young(proxy, path, b"X-A: 1\r\nX-B: 1\r\n")
    assert site.count(path) == 3
    return answer


def ask_for_young(proxy, path, extra):
    return exchange(proxy.address, ask(path, extra + b"Cache-Control: max-age=10\r\n"))


def test_a_304_freshens_all_that_have_its_strong_validator(proxy, site):
    assert content(two_variants(proxy, site, b"/strong", b'"s"')) == b"newer"

    older = ask_for_young(proxy, b"/strong", b"X-A: 1\r\n")
    newer = ask_for_young(proxy, b"/strong", b"X-A: 2\r\nX-B: 1\r\n")

    assert (content(older), content(newer)) == (b"older", b"newer")
    assert site.count(b"/strong") == 3


def test_a_304_with_a_weak_validator_freshens_the_most_recent_alone(proxy, site):
    assert content(two_variants(proxy, site, b"/weak", b'W/"w"')) == b"newer"

    newer = ask_for_young(proxy, b"/weak", b"X-A: 2\r\nX-B: 1\r\n")
    assert (content(newer), site.count(b"/weak")) == (b"newer", 3)
    ask_for_young(proxy, b"/weak", b"X-A: 1\r\n")
    assert site.count(b"/weak") == 4


def test_an_error_in_place_of_a_validation_is_passed_on_and_replaces_nothing(proxy, site):
    site.put(b"/unvalidated", fresh(age=100), b"stored")
    exchange(proxy.address, ask(b"/unvalidated"))
    site.put(b"/unvalidated", b"Cache-Control: max-age=60\r\n", b"oops", b"500 Oops")
    failed = exchange(proxy.address, ask(b"/unvalidated"))
    site.put(b"/unvalidated", fresh(), b"", b"304 Not Modified")
    validated = exchange(proxy.address, ask(b"/unvalidated"))

    assert (status(failed), content(failed)) == (b"500", b"oops")
    assert (status(validated), content(validated)) == (b"200", b"stored")


@pytest.mark.parametrize(
    ("fields", "stale"),
    [
        (b'ETag: "v1"\r\nX-New: 1\r\n', False),
        (b'ETag: "v1"\r\nLast-Modified: Fri, 02 Jan 2026 00:00:00 GMT\r\n', True),
        (b"Last-Modified: Fri, 02 Jan 2026 00:00:00 GMT\r\n", True),
        (b'ETag: "v2"\r\n', True),
        (b'ETag: "v1"\r\nContent-Length: 7\r\n', True),
        (b"X-New: 1\r\n", False),
    ],
)
def test_a_head_updates_only_what_has_all_its_validators(proxy, site, fields, stale):
    site.put(b"/h", fresh() + b"Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n", b"stored")
    exchange(proxy.address, ask(b"/h", b"Cache-Control: no-cache\r\n"))
    asked = site.count(b"/h")
    site.answers[b"/h"] = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n%s\r\n" % fields
    exchange(proxy.address, ask(b"/h", b"Cache-Control: no-cache\r\n", b"HEAD"))
    site.put(b"/h", fresh(), b"", b"304 Not Modified")

    answer = exchange(proxy.address, ask(b"/h"))

    assert content(answer) == b"stored"
    assert site.count(b"/h") == asked + (2 if stale else 1)
    if not stale:
        assert field(answer, b"X-New") == b"1"


def test_a_head_without_validators_updates_what_has_none_and_is_as_long(proxy, site):
    """Section 4.3.5 compares "any received validator fields": of none, all are equal."""
    stale = b"Cache-Control: max-age=60\r\nAge: 100\r\n"
    said = []
    for path, length in ((b"/bare", b""), (b"/bare/6", b"6"), (b"/bare/7", b"7")):
        site.put(path, stale, b"stored")
        exchange(proxy.address, ask(path))
        length = length and b"Content-Length: %s\r\n" % length
        site.answers[path] = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n%s\r\n" % length
        exchange(proxy.address, ask(path, method=b"HEAD"))
        site.put(path, fresh(), b"new one")
        said.append(content(exchange(proxy.address, ask(path))))

    assert said == [b"stored", b"stored", b"new one"]


@pytest.mark.parametrize("stored", [b"404 Not Found", b"301 Moved Permanently"])
def test_a_head_updates_nothing_that_has_another_status(proxy, site, stored):
    path = b"/status-of-head/" + stored[:3]
    site.put(path, b"Cache-Control: max-age=60\r\nAge: 100\r\n", b"old", stored)
    exchange(proxy.address, ask(path))
    site.answers[path] = b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\n"
    exchange(proxy.address, ask(path, method=b"HEAD"))
    site.put(path, fresh(), b"new")

    assert content(exchange(proxy.address, ask(path))) == b"new"


# --- RFC 9111 section 5.2: directives ---------------------------------------------------------


@pytest.mark.parametrize(
    "extra", [b"Cache-Control: no-store\r\n", b"Authorization: Basic eA==\r\n"]
)
@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
def test_what_is_said_of_one_request_does_not_remove_what_is_stored(proxy, site, extra, method):
    site.put(b"/others", fresh(age=100), b"stored")
    exchange(proxy.address, ask(b"/others", b"Cache-Control: no-cache\r\n"))
    answer = b'Cache-Control: max-age=60\r\nETag: "v1"\r\nX-For: one\r\n'
    if method == b"GET":
        site.put(b"/others", answer, b"", b"304 Not Modified")
    else:
        site.answers[b"/others"] = b"HTTP/1.1 200 OK\r\n%s\r\n" % answer
    one = exchange(proxy.address, ask(b"/others", extra, method))
    site.put(b"/others", fresh(), b"", b"304 Not Modified")
    other = exchange(proxy.address, ask(b"/others"))

    # Nothing of the response to that request was stored, and what was stored is still there.
    assert field(one, b"X-For") == b"one"
    assert b'If-None-Match: "v1"' in site.last(b"/others")
    assert (content(other), field(other, b"X-For")) == (b"stored", None)


def test_no_store_of_a_request_does_not_apply_to_what_is_stored(proxy, site):
    site.put(b"/stored-before", fresh(), b"stored")
    exchange(proxy.address, ask(b"/stored-before"))

    answer = exchange(proxy.address, ask(b"/stored-before", b"Cache-Control: no-store\r\n"))

    assert cache_says(answer).startswith(b"hit")
    assert site.count(b"/stored-before") == 1


# --- RFC 9110 sections 13 to 15: conditions and ranges ----------------------------------------


def test_range_counts_after_the_conditions_and_for_get_alone(proxy, site):
    site.answers[b"/order"] = lambda connection, head: connection.sendall(ranged(head))
    exchange(proxy.address, ask(b"/order"))
    part = b"Range: bytes=0-1\r\n"

    same = exchange(proxy.address, ask(b"/order", part + b'If-None-Match: "r1"\r\n'))
    other = exchange(proxy.address, ask(b"/order", part + b'If-None-Match: "r2"\r\n'))
    head = exchange(proxy.address, ask(b"/order", part, b"HEAD"))
    alone = exchange(proxy.address, ask(b"/order", b'If-Range: "r2"\r\n'))

    assert status(same) == b"304"
    assert (status(other), content(other)) == (b"206", b"01")
    assert (status(head), field(head, b"Content-Length")) == (b"200", b"10")
    assert (status(alone), content(alone)) == (b"200", DIGITS)
    assert site.count(b"/order") == 1


def test_conditions_do_not_count_where_the_answer_is_no_200(proxy, site):
    for code in (b"404 Not Found", b"301 Moved Permanently"):
        site.put(b"/no-200", fresh(), b"stored", code)
        exchange(proxy.address, ask(b"/no-200", b"Cache-Control: no-cache\r\n"))
        asked = site.count(b"/no-200")

        for condition in (b"If-None-Match: *\r\n", b'If-None-Match: "v1"\r\nRange: bytes=0-1\r\n'):
            answer = exchange(proxy.address, ask(b"/no-200", condition))
            assert (status(answer), content(answer)) == (code[:3], b"stored")
        assert site.count(b"/no-200") == asked


def test_a_validation_of_the_caches_own_asks_for_the_whole_without_if_range(proxy, site):
    site.put(b"/own-validation", fresh(age=100), DIGITS)
    exchange(proxy.address, ask(b"/own-validation"))
    site.put(b"/own-validation", fresh(), b"", b"304 Not Modified")

    extra = b'Range: bytes=0-1\r\nIf-Range: "v1"\r\n'
    answer = exchange(proxy.address, ask(b"/own-validation", extra))

    assert (status(answer), content(answer)) == (b"206", b"01")
    asked = site.last(b"/own-validation")
    assert b'If-None-Match: "v1"' in asked
    assert b"Range:" not in asked


def test_a_response_without_date_gets_the_time_at_which_it_came(proxy, site):
    site.put(b"/undated", fresh(), b"stored")
    site.put(b"/undated-private", b"Cache-Control: private\r\n", b"mine")
    first = exchange(proxy.address, ask(b"/undated"))
    hit = exchange(proxy.address, ask(b"/undated"))
    passed_on = exchange(proxy.address, ask(b"/undated-private"))

    assert len(lines(first, b"Date")) == len(lines(passed_on, b"Date")) == 1
    assert lines(hit, b"Date") == lines(first, b"Date")


def test_via_names_this_proxy_in_what_is_stored_and_in_requests_of_the_caches_own(proxy, site):
    site.put(b"/via", fresh() + b"Via: 1.0 nearer\r\n", b"stored")
    first = exchange(proxy.address, ask(b"/via"))
    hit = exchange(proxy.address, ask(b"/via"))

    (via,) = lines(hit, b"Via")
    assert via.startswith(b"1.0 nearer, 1.1 proxykit-")
    assert lines(first, b"Via") == [via]
    assert b"\r\nVia: 1.1 proxykit-" in site.last(b"/via")


def test_head_is_answered_with_the_fields_of_get_and_no_content(proxy, site):
    site.put(b"/headers", fresh() + b"Content-Type: text/css\r\nX-A: 1\r\n", b"stored")
    exchange(proxy.address, ask(b"/headers"))

    got = exchange(proxy.address, ask(b"/headers")).partition(b"\r\n\r\n")
    head = exchange(proxy.address, ask(b"/headers", method=b"HEAD")).partition(b"\r\n\r\n")

    changing = (b"Age: ", b"Cache-Status: ")
    fields = [
        sorted(line for line in each[0].split(b"\r\n") if not line.startswith(changing))
        for each in (got, head)
    ]
    assert fields[0] == fields[1]
    assert (got[2], head[2]) == (b"stored", b"")
    assert site.count(b"/headers") == 1


def test_conditions_of_a_request_that_is_not_the_caches_reach_the_server(proxy, site):
    site.put(b"/bypassed", fresh(), b"stored")
    exchange(proxy.address, ask(b"/bypassed"))
    conditions = b'If-None-Match: "v1"\r\nIf-Modified-Since: Fri, 02 Jan 2026 00:00:00 GMT\r\n'
    conditions += b'If-Range: "v1"\r\nRange: bytes=0-1\r\n'

    answer = exchange(proxy.address, ask(b"/bypassed", b"X-Host: b\r\n" + conditions))

    assert (status(answer), content(answer)) == (b"200", b"stored")
    assert conditions.strip() in site.last(b"/bypassed")


# --- RFC 9211: Cache-Status -------------------------------------------------------------------


def test_what_the_proxy_says_by_itself_has_no_cache_status(proxy, site):
    nothing = exchange(proxy.address, ask(b"/nothing", b"Cache-Control: only-if-cached\r\n"))
    site.answers[b"/gone"] = lambda connection, head: connection.shutdown(socket.SHUT_RDWR)
    gone = exchange(proxy.address, ask(b"/gone"))

    assert (status(nothing), status(gone)) == (b"504", b"502")
    assert lines(nothing, b"Cache-Status") == lines(gone, b"Cache-Status") == []


def test_cache_status_of_other_caches_stays_before_ours(proxy, site):
    site.put(b"/chain", fresh() + b"Cache-Status: Origin; hit; ttl=5\r\n", b"stored")
    missed = exchange(proxy.address, ask(b"/chain"))
    for extra in (b"", b'If-None-Match: "v1"\r\n', b"Range: bytes=0-1\r\n"):
        answer = exchange(proxy.address, ask(b"/chain", extra))
        theirs, ours = lines(answer, b"Cache-Status")
        assert theirs == b"Origin; hit; ttl=5"
        assert ours.startswith(b"proxykit-")
        assert b"; hit; ttl=" in ours
    site.put(b"/chain-private", b"Cache-Control: private\r\nCache-Status: Origin; hit\r\n", b"mine")
    private = exchange(proxy.address, ask(b"/chain-private"))

    assert lines(missed, b"Cache-Status")[0] == b"Origin; hit; ttl=5"
    assert lines(private, b"Cache-Status")[0] == b"Origin; hit"


@pytest.mark.parametrize("condition", [b"", b'If-None-Match: "v1"\r\n', b"Range: bytes=0-1\r\n"])
@pytest.mark.parametrize("control", [b"max-age=60", b"max-age=60, private"])
def test_the_age_that_a_response_came_with_is_passed_on_be_it_zero(proxy, site, control, condition):
    """Without Age it would seem to come from the origin itself (section 5.1)."""
    for age in (b"", b"0", b"7"):
        path = b"/came-with/%d" % len(site.asked)
        aged = age and b"Age: %s\r\n" % age
        site.put(path, b'ETag: "v1"\r\nCache-Control: %s\r\n%s' % (control, aged), b"aged")
        answer = exchange(proxy.address, ask(path, condition))

        assert field(answer, b"Age") == (age or None)
        assert cache_says(answer).startswith(b"fwd=uri-miss")


def test_cache_status_says_hit_or_fwd_and_never_both(proxy, site):
    site.put(b"/either", fresh(), b"stored")
    said = [
        cache_says(exchange(proxy.address, ask(b"/either", extra)))
        for extra in (b"", b"", b"Cache-Control: no-cache\r\n")
    ]
    assert [b"fwd=" in each for each in said] == [True, False, True]
    assert [b"hit" in each for each in said] == [False, True, False]


def test_cache_status_says_why_the_server_was_asked(proxy, site):
    site.put(b"/why", fresh() + b"Vary: X-A\r\n", b"stored")
    said = [cache_says(exchange(proxy.address, ask(b"/why", b"X-A: 1\r\n")))]
    said.append(cache_says(exchange(proxy.address, ask(b"/why", b"X-A: 2\r\n"))))
    site.put(b"/why", fresh(age=100), b"", b"304 Not Modified")
    reload = b"X-A: 1\r\nCache-Control: no-cache\r\n"
    said.append(cache_says(exchange(proxy.address, ask(b"/why", reload))))
    said.append(cache_says(exchange(proxy.address, ask(b"/why", b"X-A: 1\r\n"))))
    said.append(cache_says(exchange(proxy.address, ask(b"/why", b"X-A: 1\r\n", b"DELETE"))))

    assert said == [
        b"fwd=uri-miss; stored",
        b"fwd=vary-miss; stored",
        b"fwd=request; fwd-status=304",
        b"fwd=stale; fwd-status=304",
        b"fwd=method",
    ]


def test_cache_status_says_what_the_server_answered_where_the_client_gets_another_thing(
    proxy, site
):
    site.put(b"/fwd-range", fresh(), DIGITS)
    part = exchange(proxy.address, ask(b"/fwd-range", b"Range: bytes=0-1\r\n"))
    site.put(b"/fwd-same", fresh(), DIGITS)
    same = exchange(proxy.address, ask(b"/fwd-same", b'If-None-Match: "v1"\r\n'))
    site.put(b"/fwd-private", b'Cache-Control: private\r\nETag: "v1"\r\n', DIGITS)
    private = exchange(proxy.address, ask(b"/fwd-private", b'If-None-Match: "v1"\r\n'))
    site.answers[b"/fwd-part"] = lambda connection, head: connection.sendall(ranged(head))
    as_it_came = exchange(proxy.address, ask(b"/fwd-part", b"Range: bytes=0-1\r\n"))

    assert (status(part), cache_says(part)) == (b"206", b"fwd=uri-miss; fwd-status=200; stored")
    assert (status(same), cache_says(same)) == (b"304", b"fwd=uri-miss; fwd-status=200; stored")
    assert (status(private), cache_says(private)) == (b"304", b"fwd=uri-miss; fwd-status=200")
    assert (status(as_it_came), cache_says(as_it_came)) == (b"206", b"fwd=uri-miss; stored")


def test_cache_status_of_a_crowd_says_what_the_server_answered(proxy, site):
    request = ask(b"/crowd-part", b"Range: bytes=0-1\r\n")
    part = ranged(b"Range: bytes=0-1\r\n")
    open_gate = gate(site, b"/crowd-part", part)

    answers = crowd(proxy, [request] * 2, open_gate.set)

    assert sorted(cache_says(each) for each in answers) == [
        b"fwd=uri-miss; fwd-status=206; stored; collapsed",
        b"fwd=uri-miss; stored",
    ]


# --- RFC 9213: targeted fields ----------------------------------------------------------------


def test_targeted_fields_are_passed_on_ours_and_others(proxy, site):
    fields = b"CDN-Cache-Control: max-age=60\r\nOther-Cache-Control: no-store\r\n"
    site.put(b"/targeted", fields, b"stored")
    exchange(proxy.address, ask(b"/targeted"))

    answer = exchange(proxy.address, ask(b"/targeted"))

    assert cache_says(answer).startswith(b"hit")
    assert field(answer, b"CDN-Cache-Control") == b"max-age=60"
    assert field(answer, b"Other-Cache-Control") == b"no-store"
