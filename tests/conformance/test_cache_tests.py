"""The cache tests by the people of the HTTP working group, against a running proxy.

The npm package holds the suite as it was when RFC 9111 was a draft: some of its tests contradict the
RFC, some contradict themselves. Each that does not pass stands here with its reason, and one that
passes all the same fails the test.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from benchmarks import cache_suite
from benchmarks.cache_suite import Kind, Verdict
from demo.proxies import Proxy, free_port

pytestmark = pytest.mark.timeout(120)  # for the first that runs: it takes some seconds, or longer

CONFIGURATION = """
[limits]
connections_per_client = 2000
[reverse.site]
listen = "127.0.0.1:{port}"
[[reverse.site.routes]]
pool = "app"
[reverse.site.routes.cache]
use = "main"
allow_errors = true
allow_set_cookie = true
stale_if_error = "1h"
[pool.app]
servers = ["http://127.0.0.1:{origin}"]
[cache.main]
{store}
"""
STORES = {
    "memory": 'store = "memory"\nsize = "64MiB"',
    "disk": 'store = "disk"\nsize = "64MiB"\nmemory = "8MiB"\nmin_free = 0\ndirectory = "{directory}"',
}
SUITES = (
    "cc-freshness", "cc-parse", "age-parse", "expires", "expires-parse", "cc-response",
    "stale", "heuristic", "method", "status", "cc-request", "pragma", "vary", "vary-parse",
    "conditional-lm", "conditional-inm", "headers", "update304", "updateHEAD", "invalidation",
    "partial", "auth", "other",
)  # fmt: skip

_NOT_AN_AGE = "RFC 9111 section 5.1: an Age that is no number is ignored, not taken for a great one"
_FIRST_AGE = "RFC 9111 section 5.1: of several members the first counts, here a small one"
_A_504 = "a 504, as RFC 9111 section 5.2.2.2 asks for; the test takes whatever is no 200 for a hit"
_WRONG_PART = "its Content-Range says six bytes, its content is five (RFC 9110 section 14.4)"

EXCEPTIONS = {
    "age-parse-nonnumeric": _NOT_AN_AGE,
    "age-parse-negative": _NOT_AN_AGE,
    "age-parse-float": _NOT_AN_AGE,
    "age-parse-parameter": _NOT_AN_AGE,
    "age-parse-numeric-parameter": _NOT_AN_AGE,
    "age-parse-prefix-twoline": _FIRST_AGE,
    "age-parse-dup-0": _FIRST_AGE,
    "age-parse-dup-0-twoline": _FIRST_AGE,
    "age-parse-dup-old": _FIRST_AGE,
    "stale-close-must-revalidate": _A_504,
    "stale-close-proxy-revalidate": _A_504,
    "stale-close-no-cache": _A_504,
    "stale-close-s-maxage=2": _A_504,
    "method-POST": "RFC 9110 section 9.3.3 lets a GET be answered by a POST's response; ours never is",
    "vary-normalise-lang-order": "RFC 9110 section 12.5.4: the order may be one of preference",
    "vary-normalise-lang-select": "RFC 9111 section 4.1: the fields do not have the same meaning",
    "conditional-lm-fresh-no-lm": "RFC 9111 section 4.3.2: Date counts, and it is later than asked",
    "headers-store-Transfer-Encoding": "RFC 9112 section 6.1: an unknown transfer coding is a 502",
    "304-etag-update-response-ETag": "RFC 9111 section 4.3.4: a 304 must not update by another tag",
    "partial-store-partial-reuse-partial": _WRONG_PART,
    "partial-store-partial-reuse-partial-byterange": _WRONG_PART,
    "partial-store-partial-reuse-partial-absent": _WRONG_PART,
    "partial-store-partial-reuse-partial-suffix": _WRONG_PART,
    "partial-store-partial-complete": "RFC 9111 section 3.4: without a strong validator nothing is combined",
}  # fmt: skip


def unmet(report, suite=None):
    """Give the requirements and chances that are not met and are no exceptions, with the reasons."""
    return {
        name: report.why(name)
        for name, test in report.tests.items()
        if suite in (None, test.suite)
        and test.kind is not Kind.CHECK
        and name not in EXCEPTIONS
        and report.verdict(name) is not Verdict.PASSED
    }


def passed_all_the_same(report):
    """Give the exceptions that did not fail."""
    return {
        name
        for name in EXCEPTIONS
        if report.verdict(name) not in (Verdict.FAILED, Verdict.SETUP_FAILED)
    }


def run(origin, url):
    report = cache_suite.run(origin, url, together=1000)
    for _ in range(2):
        unexpected = {*unmet(report), *passed_all_the_same(report)}
        report = cache_suite.run_again(report, origin, url, unexpected)
    return report


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What came of the suite with each store; the runs wait together."""
    cache_suite.install()
    with ExitStack() as stack, ThreadPoolExecutor(len(STORES)) as threads:
        runs = {}
        for name, store in STORES.items():
            directory = tmp_path_factory.mktemp(name)
            port, origin = free_port(), free_port()
            file = directory / "proxykit.toml"
            store = store.format(directory=directory / "store")
            file.write_text(CONFIGURATION.format(port=port, origin=origin, store=store))
            proxy = Proxy(directory, "serve", "--config", str(file), port=port)
            url = stack.enter_context(proxy).url
            runs[name] = threads.submit(run, origin, url)
        yield {name: run.result() for name, run in runs.items()}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("suite", SUITES)
def test_every_requirement_and_every_chance_is_met_but_for_the_exceptions(reports, suite, store):
    assert unmet(reports[store], suite) == {}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("name", EXCEPTIONS)
def test_what_is_an_exception_does_not_pass(reports, name, store):
    report = reports[store]

    assert report.tests[name].kind is not Kind.CHECK
    assert name not in passed_all_the_same(report), f"{EXCEPTIONS[name]}: {report.why(name)}"


@pytest.mark.parametrize("store", STORES)
def test_the_whole_suite_was_run(reports, store):
    report = reports[store]

    assert {test.suite for test in report.tests.values()} == set(SUITES)
    assert report.results.keys() == report.tests.keys()
