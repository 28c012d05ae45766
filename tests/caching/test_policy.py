"""May it be stored, how long is it fresh, how old is it: RFC 9111 sections 3, 4.2 and 5."""

from __future__ import annotations

import pytest
from attrs import evolve

from proxykit.caching.policy import RequestFacts, initial_age, judge
from proxykit.caching.rules import CacheRules
from proxykit.message.dates import format_date

NOW = 1_800_000_000.0
GET = RequestFacts(b"GET", {})
RULES = CacheRules()
CDN = CacheRules(targets=(b"cdn-cache-control",))


def response(**fields):
    return {name.replace("_", "-").encode(): value for name, value in fields.items()}


def verdict(status=200, request=GET, rules=RULES, **fields):
    fields.setdefault("date", format_date(NOW))
    return judge(request, status, response(**fields), rules, NOW)


def lifetime(status=200, request=GET, rules=RULES, **fields):
    terms = verdict(status, request, rules, **fields).terms
    return None if terms is None else terms.lifetime


# --- section 3: storing -----------------------------------------------------------------------


@pytest.mark.parametrize("method", [b"HEAD", b"POST", b"PUT", b"QUERY"])
def test_only_responses_to_get_are_stored(method):
    assert verdict(request=RequestFacts(method, {}), cache_control=b"max-age=60").reason


ERRORS = [400, 401, 403, 405, 413, 414, 418, 429, 499, 500, 502, 503, 504, 599, 999]
FOR_ONE_REQUEST = [226, 304, 412, 416, 417]


@pytest.mark.parametrize("status", [100, 305, 399, *ERRORS, *FOR_ONE_REQUEST])
def test_a_status_that_is_not_understood_is_not_stored(status):
    assert verdict(status, cache_control=b"max-age=60, public").reason


@pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 410, 451])
def test_a_status_that_is_understood_is_stored_when_it_is_fresh(status):
    assert lifetime(status, cache_control=b"max-age=60") == 60


@pytest.mark.parametrize("status", [201, 202, 206, 299])
def test_a_success_that_is_unknown_is_stored_when_it_says_how_long_and_never_by_a_guess(status):
    assert lifetime(status, cache_control=b"max-age=60") == 60
    if status != 206:
        assert lifetime(status, last_modified=format_date(NOW - 1000)) is None
        assert lifetime(status, rules=CacheRules(force_lifetime=60.0)) is None


@pytest.mark.parametrize("status", ERRORS)
def test_an_error_is_stored_where_that_is_allowed_if_it_says_how_long(status):
    allowed = CacheRules(allow_errors=True, lifetime=60.0, force_lifetime=90.0)
    assert lifetime(status, rules=allowed, cache_control=b"max-age=30") == 30
    assert lifetime(status, rules=allowed) is None
    assert verdict(status, rules=allowed, cache_control=b"no-store").reason
    assert verdict(status, rules=allowed, cache_control=b"private, max-age=60").reason
    assert verdict(status, rules=allowed, cache_control=b"must-understand, max-age=60").reason


@pytest.mark.parametrize("status", FOR_ONE_REQUEST)
def test_what_answers_a_field_that_is_no_part_of_the_key_is_never_stored(status):
    allowed = CacheRules(allow_errors=True)
    assert verdict(status, rules=allowed, cache_control=b"max-age=60, public").reason


def test_an_error_is_guessed_to_be_fresh_only_where_errors_are_allowed_and_its_status_lets():
    old = format_date(NOW - 1000)
    for status, guessed in ((405, 100), (414, 100), (501, 100), (403, None), (500, None)):
        assert lifetime(status, last_modified=old) is None
        assert lifetime(status, rules=CacheRules(allow_errors=True), last_modified=old) == guessed
    allowed = CacheRules(allow_errors=True)
    assert lifetime(599, rules=allowed, cache_control=b"public", last_modified=old) == 100


@pytest.mark.parametrize("value", [b"no-store", b"max-age=60, no-store", b"NO-STORE"])
def test_no_store_of_a_response_is_obeyed(value):
    assert verdict(cache_control=value).reason


def test_no_store_of_a_request_is_obeyed():
    request = RequestFacts(b"GET", {b"cache-control": b"no-store"})
    assert verdict(request=request, cache_control=b"max-age=60").reason


def test_must_understand_overrides_no_store_for_a_status_that_is_understood():
    assert lifetime(cache_control=b"no-store, must-understand, max-age=60") == 60
    assert verdict(299, cache_control=b"no-store, must-understand, max-age=60").reason
    assert verdict(418, cache_control=b"must-understand, max-age=60").reason


def test_a_private_response_is_not_stored_in_a_shared_cache():
    assert verdict(cache_control=b"private, max-age=60").reason


def test_fields_that_private_or_no_cache_name_are_not_stored_and_the_rest_is():
    found = verdict(
        cache_control=b'private="x-user", no-cache="set-cookie", max-age=60', set_cookie=b"a=1"
    )
    assert found.terms.lifetime == 60
    assert found.dropped == {b"x-user", b"set-cookie"}
    assert not found.terms.validated_only


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (b"max-age=60", False),
        (b"max-age=60, public", True),
        (b"max-age=60, must-revalidate", True),
        (b"s-maxage=60", True),
        (b"max-age=60, proxy-revalidate", False),
    ],
)
def test_a_response_to_authorization_is_stored_only_if_it_allows_that(value, stored):
    request = RequestFacts(b"GET", {b"authorization": b"Basic eA=="})
    assert (not verdict(request=request, cache_control=value).reason) is stored


def test_something_has_to_say_that_it_may_be_stored():
    assert verdict().reason
    assert verdict(302, etag=b'"a"').reason
    assert not verdict(302, cache_control=b"s-maxage=1").reason
    assert not verdict(302, cache_control=b"public", etag=b'"a"').reason
    assert verdict(302, last_modified=format_date(NOW - 1000)).reason
    assert not verdict(302, cache_control=b"max-age=1").reason
    assert not verdict(302, expires=format_date(NOW + 10)).reason
    assert not verdict(last_modified=format_date(NOW - 1000)).reason


def test_what_is_never_fresh_and_cannot_be_validated_is_not_stored():
    assert verdict(cache_control=b"no-cache").reason
    assert verdict(cache_control=b"max-age=0").reason
    assert verdict(cache_control=b"no-cache", etag=b'"a"').terms.validated_only
    assert not verdict(cache_control=b"max-age=0", etag=b'"a"').reason


def test_vary_with_a_star_is_not_stored():
    assert verdict(cache_control=b"max-age=60", vary=b"*").reason
    assert verdict(cache_control=b"max-age=60", vary=b"accept, *").reason


@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"forwarded", b"Via", b"X-Real-IP"])
def test_what_varies_on_fields_that_the_proxy_writes_is_not_stored(name):
    assert verdict(cache_control=b"max-age=60", vary=b"Accept, " + name).reason


def test_a_cookie_is_stored_only_where_it_is_allowed():
    assert verdict(cache_control=b"max-age=60", set_cookie=b"a=1").reason
    assert not verdict(cache_control=b"max-age=60, public", set_cookie=b"a=1").reason
    rules = evolve(RULES, allow_set_cookie=True)
    assert not verdict(cache_control=b"max-age=60", set_cookie=b"a=1", rules=rules).reason


def test_an_error_of_the_server_may_be_shared_and_is_not_stored():
    found = verdict(503)
    assert found.reason
    assert found.shareable
    assert not verdict(503, cache_control=b"private").shareable
    assert not verdict(503, set_cookie=b"a=1").shareable


# --- section 4.2.1: freshness lifetime --------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"cache_control": b"s-maxage=1, max-age=2", "expires": format_date(NOW + 3)}, 1),
        ({"cache_control": b"max-age=2", "expires": format_date(NOW + 3)}, 2),
        ({"expires": format_date(NOW + 3)}, 3),
        ({"expires": format_date(NOW + 3), "date": format_date(NOW - 7)}, 10),
        ({"expires": format_date(NOW + 3), "date": b"yesterday"}, 3),
        ({"expires": format_date(NOW - 3), "etag": b'"a"'}, 0),
        ({"expires": b"0", "etag": b'"a"'}, 0),
        ({"expires": b"Thu, 01 Jan 2099", "etag": b'"a"'}, 0),
        ({"expires": b"Thu, 01 Jan 2099 00:00:00 UTC", "etag": b'"a"'}, 0),  # section 4.2
        ({"expires": format_date(NOW + 3) * 2, "etag": b'"a"'}, 0),
        ({"expires": format_date(NOW + 3).replace(b"GMT", b"utc"), "etag": b'"a"'}, 0),
        ({"expires": format_date(NOW + 3).replace(b"GMT", b"EST"), "etag": b'"a"'}, 0),
        # nothing is guessed in the place of nonsense
        ({"expires": b"0", "last_modified": format_date(NOW - 1000)}, 0),
        ({"expires": b"Thu, 01 Jan 2099", "last_modified": format_date(NOW - 1000)}, 0),
        ({"cache_control": b"max-age=x", "last_modified": format_date(NOW - 1000)}, 0),
        ({"cache_control": b"max-age=1, max-age=2", "etag": b'"a"'}, 0),
        ({"cache_control": b"max-age=x", "expires": format_date(NOW + 3), "etag": b'"a"'}, 0),
    ],
)
def test_the_first_that_says_how_long_counts_and_nonsense_is_stale(fields, seconds):
    assert lifetime(**fields) == seconds


def test_cdn_cache_control_stands_in_the_place_of_cache_control_and_expires():
    fields = {"cache_control": b"no-store", "expires": b"0", "cdn_cache_control": b"max-age=60"}
    assert lifetime(rules=CDN, **fields) == 60
    assert verdict(**fields).reason
    broken = fields | {"cdn_cache_control": b"max-age=60,,"}
    assert verdict(rules=CDN, **broken).reason
    silent = {"expires": format_date(NOW + 60), "cdn_cache_control": b"public", "etag": b'"a"'}
    assert lifetime(rules=CDN, **silent) == 0


@pytest.mark.parametrize(
    ("value", "differs"),
    [
        (b"max-age=5", lambda terms: terms.lifetime == 5),
        (b"s-maxage=5, max-age=9", lambda terms: (terms.lifetime, terms.never_stale) == (5, True)),
        (b"max-age=5, must-revalidate", lambda terms: terms.never_stale),
        (b"max-age=5, proxy-revalidate", lambda terms: terms.never_stale),
        (b"max-age=5, no-cache", lambda terms: terms.validated_only),
        (b'max-age=5, no-cache="x-a"', lambda terms: not terms.validated_only),
        (b"max-age=5, no-store", lambda terms: terms is None),
        (b"max-age=5, private", lambda terms: terms is None),
        (b"max-age=5, no-store, must-understand", lambda terms: terms.lifetime == 5),
        (b"max-age=5, stale-while-revalidate=7", lambda terms: terms.stale_while_revalidate == 7),
        (b"max-age=5, stale-if-error=7", lambda terms: terms.stale_if_error == 7),
        (b"max-age=5, frobnicate, x=(1 2)", lambda terms: terms.lifetime == 5),
    ],
)
def test_a_targeted_field_says_all_that_cache_control_says(value, differs):
    plain = b"max-age=60"
    found = verdict(rules=CDN, cache_control=plain, cdn_cache_control=value, etag=b'"a"').terms
    assert differs(found)
    assert verdict(cache_control=plain, cdn_cache_control=value, etag=b'"a"').terms.lifetime == 60


def test_the_first_valid_field_of_the_targets_counts_and_no_other():
    rules = CacheRules(targets=(b"mine-cache-control", b"cdn-cache-control"))
    both = {"mine_cache_control": b"max-age=1", "cdn_cache_control": b"max-age=2"}
    control = {"cache_control": b"max-age=3", "their_cache_control": b"no-store"}
    assert lifetime(rules=rules, **both, **control) == 1
    for broken in (b"", b"max-age=1,", b"MAX-AGE=1"):
        assert lifetime(rules=rules, **both | {"mine_cache_control": broken}, **control) == 2
        each = {"mine_cache_control": broken, "cdn_cache_control": broken}
        assert lifetime(rules=rules, **each, **control) == 3
    assert lifetime(rules=rules, **control) == 3


# --- section 4.2.2: heuristics ----------------------------------------------------------------


def test_a_guess_is_a_tenth_of_the_time_since_the_last_change_up_to_a_limit():
    assert lifetime(last_modified=format_date(NOW - 1000)) == 100
    assert lifetime(last_modified=format_date(NOW - 10**8)) == RULES.heuristic_limit
    assert lifetime(last_modified=format_date(NOW + 1000)) == 0


def test_nothing_is_guessed_when_a_time_is_stated():
    assert lifetime(last_modified=format_date(NOW - 1000), cache_control=b"max-age=1") == 1
    assert lifetime(last_modified=format_date(NOW - 1000), expires=b"0") == 0


@pytest.mark.parametrize("status", [302, 303, 307, 451])
def test_nothing_is_guessed_for_redirects_for_now_and_refusals(status):
    assert lifetime(status, last_modified=format_date(NOW - 1000)) is None


def test_what_is_not_there_is_guessed_to_stay_away_for_two_minutes_at_the_most():
    assert lifetime(404, last_modified=format_date(NOW - 1000)) == 100
    assert lifetime(404, last_modified=format_date(NOW - 10**8)) == 120
    assert lifetime(410, last_modified=format_date(NOW - 10**8)) == RULES.heuristic_limit


def test_public_has_a_lifetime_guessed_for_any_status_that_is_understood():
    old = format_date(NOW - 1000)
    assert lifetime(302, last_modified=old, cache_control=b"public") == 100
    assert lifetime(302, last_modified=old, cache_control=b"must-revalidate") is None


def test_nothing_is_guessed_for_a_query_a_cookie_or_what_is_not_what_it_seems():
    old = format_date(NOW - 1000)
    assert lifetime(request=RequestFacts(b"GET", {}, query=True), last_modified=old) == 0
    assert verdict(request=RequestFacts(b"GET", {b"cookie": b"a=1"}), last_modified=old).reason
    page = RequestFacts(b"GET", {}, "/account/x.css")
    assert lifetime(request=page, last_modified=old, content_type=b"text/html") == 0
    assert lifetime(request=page, last_modified=old, content_type=b"text/css") == 100


# --- rules ------------------------------------------------------------------------------------


def test_a_rules_lifetime_is_for_what_says_nothing():
    rules = evolve(RULES, lifetime=30.0, lifetimes={404: 5.0})
    assert lifetime(rules=rules) == 30
    assert lifetime(404, rules=rules) == 5
    assert lifetime(rules=rules, cache_control=b"max-age=1") == 1
    assert verdict(rules=rules, cache_control=b"private").reason
    assert verdict(302, rules=rules).reason
    assert verdict(500, rules=rules).reason


def test_a_guess_may_be_another_part_of_the_time_since():
    rules = evolve(RULES, heuristic_part=0.5, heuristic_limit=400.0)
    assert lifetime(rules=rules, last_modified=format_date(NOW - 600)) == 300
    assert lifetime(rules=rules, last_modified=format_date(NOW - 6000)) == 400
    assert lifetime(rules=evolve(rules, heuristic_part=0.0), last_modified=format_date(0)) == 0


@pytest.mark.parametrize(
    ("since", "query", "seconds"), [(60, False, 100), (600, False, 300), (600, True, 100)]
)
def test_beside_a_guess_a_rules_lifetime_is_the_least(since, query, seconds):
    rules = evolve(RULES, lifetime=100.0, heuristic_part=0.5)
    request = RequestFacts(b"GET", {}, query=query)
    old = format_date(NOW - since)
    assert lifetime(request=request, rules=rules, last_modified=old) == seconds
    assert lifetime(request=request, rules=rules) == 100


def test_a_forced_lifetime_overrides_what_is_said_but_not_what_is_forbidden():
    rules = evolve(RULES, force_lifetime=30.0)
    assert lifetime(rules=rules, cache_control=b"max-age=1") == 30
    assert not verdict(rules=rules, cache_control=b"no-cache").terms.validated_only
    for value in (b"no-store", b"private"):
        assert verdict(rules=rules, cache_control=value).reason
    assert verdict(rules=rules, set_cookie=b"a=1").reason


# --- terms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"must-revalidate", b"proxy-revalidate", b"s-maxage=60"])
def test_what_is_never_to_be_used_stale(value):
    assert verdict(cache_control=b"max-age=60, " + value).terms.never_stale


def test_stale_directives_are_read_and_rules_stand_in_for_them():
    value = b"max-age=1, stale-while-revalidate=2, stale-if-error=3"
    terms = verdict(cache_control=value).terms
    assert (terms.stale_while_revalidate, terms.stale_if_error) == (2, 3)
    rules = evolve(RULES, stale_while_revalidate=7.0, stale_if_error=8.0)
    terms = verdict(cache_control=b"max-age=1", rules=rules).terms
    assert (terms.stale_while_revalidate, terms.stale_if_error) == (7, 8)
    terms = verdict(cache_control=value, rules=rules).terms
    assert (terms.stale_while_revalidate, terms.stale_if_error) == (2, 3)


@pytest.mark.parametrize(
    ("value", "immutable"),
    [
        (b"immutable", True),
        (b"immutable=5", True),
        (b'immutable="x", immutable', True),
        (b"x-immutable", False),
    ],
)
def test_immutable_counts_with_any_argument_and_over_https_alone(value, immutable):
    secure = RequestFacts(b"GET", {}, secure=True)
    value = b"max-age=60, " + value
    assert verdict(request=secure, cache_control=value).terms.immutable is immutable
    assert not verdict(cache_control=value).terms.immutable


# --- section 4.2.3: age -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "asked", "age"),
    [
        ({}, NOW, 0),
        ({"date": format_date(NOW)}, NOW, 0),
        ({"date": format_date(NOW - 10)}, NOW, 10),  # apparent_age
        ({"age": b"20"}, NOW, 20),
        ({"age": b"20"}, NOW - 5, 25),  # corrected by the response's delay
        ({"date": format_date(NOW - 10), "age": b"20"}, NOW - 5, 25),
        ({"date": format_date(NOW - 100), "age": b"20"}, NOW - 5, 100),
        ({"date": format_date(NOW + 100)}, NOW, 0),  # a clock ahead of ours
        ({"date": b"nonsense", "age": b"3"}, NOW, 3),
        ({"age": b"-1"}, NOW, 0),
        ({"age": b"1.5"}, NOW, 0),
        ({"age": b"7, 9"}, NOW, 7),
        ({"age": b"x, 9"}, NOW, 0),
        ({"age": b"99999999999999"}, NOW, 2**31),
        ({}, NOW + 50, 0),  # our own clock was set back meanwhile
    ],
)
def test_the_age_of_a_response_as_it_comes(fields, asked, age):
    assert initial_age(response(**fields), asked, NOW) == age
