"""The table of what is being fetched: who finds whom."""

from __future__ import annotations

from proxykit.caching.answering import Asked
from proxykit.caching.directives import NO_DIRECTIVES
from proxykit.caching.policy import RequestFacts
from proxykit.caching.ranges import parse_range
from proxykit.caching.rules import CacheRules
from proxykit.caching.under_way import FetchTable, table_key_of


class Fetch:
    """What a table is told of a fetch."""

    is_outdated = False

    def __init__(self, varies_on=(), joinable=lambda asked: True):
        self.varies_on = varies_on
        self.may_join = joinable


def asked(key=b"key", **fields):
    values = {name.encode(): value for name, value in fields.items()}
    wanted = parse_range(values.get(b"range"))
    return Asked(key, CacheRules(), values, NO_DIRECTIVES, RequestFacts(b"GET", values), wanted)


def found(table, request, names=()):
    return table.find(request, names)[1]


def test_who_asks_for_the_same_finds_the_fetch_until_it_is_taken_away():
    table, fetch, other = FetchTable(), Fetch(), Fetch()
    place, nobody = table.find(asked(), ())
    table.put(place, fetch)

    assert nobody is None
    assert found(table, asked()) is fetch
    assert found(table, asked(b"other")) is None
    assert found(table, asked(range=b"bytes=0-1")) is None
    table.remove(place, other)
    table.remove(None, fetch)
    assert len(table) == 1
    table.remove(place, fetch)
    assert found(table, asked()) is None


def test_who_wants_another_variant_than_turned_out_to_come_finds_that_variants_fetch():
    table = FetchTable()
    german = Fetch((b"accept",), lambda request: request.values[b"accept"] == b"a/de")
    english = Fetch((b"accept",))
    table.put(table_key_of(asked(accept=b"a/de"), ()), german)

    place, nobody = table.find(asked(accept=b"a/en"), ())
    assert nobody is None
    table.put(place, english)

    assert found(table, asked(accept=b"a/en")) is english
    assert found(table, asked(accept=b"a/de")) is german


def test_what_was_purged_since_it_began_is_nobodys_to_wait_for():
    table, fetch = FetchTable(), Fetch()
    place = table_key_of(asked(), ())
    table.put(place, fetch)
    assert table.current(place) is fetch

    fetch.is_outdated = True
    assert table.current(place) is None
    assert table.current(table_key_of(asked(b"other"), ())) is None
