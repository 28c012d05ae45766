"""May a stored response be used: RFC 9111 sections 4, 4.2.4, 5.2.1, RFC 5861, RFC 8246."""

from __future__ import annotations

import pytest

from proxykit.caching.directives import NO_DIRECTIVES, parse_directives
from proxykit.caching.policy import Terms
from proxykit.caching.rules import CacheRules
from proxykit.caching.use import Use, decide, request_directives, usable_on_error

FRESH, STALE, MEANWHILE, VALIDATE = (
    Use.FRESH,
    Use.STALE,
    Use.WHILE_REVALIDATING,
    Use.VALIDATE,
)
PLAIN = Terms(100.0)
MUST = Terms(100.0, never_stale=True, stale_while_revalidate=50.0, stale_if_error=50.0)
SWR = Terms(100.0, stale_while_revalidate=50.0)


@pytest.mark.parametrize(
    ("terms", "age", "directives", "use"),
    [
        (PLAIN, 0, b"", FRESH),
        (PLAIN, 99.9, b"", FRESH),
        (PLAIN, 100, b"", VALIDATE),
        (Terms(100.0, validated_only=True), 0, b"", VALIDATE),
        (PLAIN, 0, b"no-cache", VALIDATE),
        # max-age
        (PLAIN, 10, b"max-age=10", FRESH),
        (PLAIN, 11, b"max-age=10", VALIDATE),
        (PLAIN, 0, b"max-age=0", VALIDATE),
        (PLAIN, 0, b"max-age=nonsense", VALIDATE),
        (PLAIN, 110, b"max-age=1000", VALIDATE),
        # min-fresh
        (PLAIN, 50, b"min-fresh=50", FRESH),
        (PLAIN, 51, b"min-fresh=50", VALIDATE),
        # max-stale
        (PLAIN, 130, b"max-stale", STALE),
        (PLAIN, 130, b"max-stale=30", STALE),
        (PLAIN, 131, b"max-stale=30", VALIDATE),
        (PLAIN, 130, b"max-stale=x", VALIDATE),
        (MUST, 130, b"max-stale", VALIDATE),
        # stale-while-revalidate
        (SWR, 149, b"", MEANWHILE),
        (SWR, 150, b"", VALIDATE),
        (SWR, 110, b"max-age=1000", VALIDATE),
        (MUST, 110, b"", VALIDATE),
        # immutable: a reload is no reason, no-cache is
        (Terms(100.0, immutable=True), 50, b"max-age=0", FRESH),
        (Terms(100.0, immutable=True), 50, b"no-cache", VALIDATE),
        (Terms(100.0, immutable=True), 150, b"max-age=0", VALIDATE),
        (Terms(100.0, immutable=True), 150, b"", VALIDATE),
        (PLAIN, 50, b"max-age=0, immutable", VALIDATE),  # of a request, it says nothing
    ],
)
def test_what_may_be_done_with_a_stored_response(terms, age, directives, use):
    assert decide(terms, age, parse_directives(directives)) is use


@pytest.mark.parametrize(
    ("terms", "age", "directives", "use"),
    [
        (PLAIN, 50, b"", FRESH),
        (PLAIN, 10**6, b"", STALE),
        (SWR, 110, b"", STALE),
        (MUST, 50, b"", FRESH),
        (MUST, 110, b"", VALIDATE),
        (Terms(100.0, validated_only=True), 0, b"", VALIDATE),
        (PLAIN, 110, b"only-if-cached", VALIDATE),
        (PLAIN, 110, b"only-if-cached, max-stale=20", STALE),
    ],
)
def test_what_an_offline_cache_may_do(terms, age, directives, use):
    assert decide(terms, age, parse_directives(directives), offline=True) is use


@pytest.mark.parametrize(
    ("terms", "age", "directives", "usable"),
    [
        (PLAIN, 110, b"", False),
        (Terms(100.0, stale_if_error=50.0), 149, b"", True),
        (Terms(100.0, stale_if_error=50.0), 150, b"", False),
        (PLAIN, 110, b"stale-if-error=20", True),
        (MUST, 110, b"stale-if-error=20", False),
        (Terms(100.0, validated_only=True, stale_if_error=50.0), 110, b"", False),
        (Terms(100.0, stale_if_error=50.0), 110, b"no-cache", False),
    ],
)
def test_what_may_stand_in_for_an_error(terms, age, directives, usable):
    assert usable_on_error(terms, age, parse_directives(directives)) is usable


def test_pragma_counts_where_there_is_no_cache_control():
    rules = CacheRules()
    assert b"no-cache" in request_directives({b"pragma": b"no-cache"}, rules)
    both = {b"pragma": b"no-cache", b"cache-control": b"max-age=5"}
    assert b"no-cache" not in request_directives(both, rules)


def test_clients_may_be_given_no_say():
    rules = CacheRules(obey_clients=False)
    assert request_directives({b"cache-control": b"no-cache"}, rules) is NO_DIRECTIVES


def test_an_offline_cache_lets_clients_ask_for_no_validation():
    rules = CacheRules(offline=True)
    said = {b"cache-control": b"no-cache, max-age=0, min-fresh=5, no-store"}
    counting = request_directives(said, rules)
    assert b"no-store" in counting
    assert not any(name in counting for name in (b"no-cache", b"max-age", b"min-fresh"))
    assert request_directives({b"pragma": b"no-cache"}, rules) is NO_DIRECTIVES


@pytest.mark.parametrize("rules", [CacheRules(obey_clients=False), CacheRules(offline=True)])
def test_only_if_cached_counts_whatever_the_rules_say(rules):
    said = {b"cache-control": b"no-cache, only-if-cached"}
    assert b"only-if-cached" in request_directives(said, rules)
