"""Names to addresses."""

from __future__ import annotations

import pytest
from twisted.internet._resolver import HostResolution
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver
from zope.interface import implementer

from proxykit.errors import NameNotResolved
from proxykit.upstream.resolution import Resolver


@implementer(IHostnameResolver)
class Names:
    """Answers when it is told to."""

    def __init__(self, **names):
        self.names = names
        self.asked = []
        self._pending = []

    def resolveHostName(self, receiver, hostName, *arguments, **named):
        self.asked.append(hostName)
        self._pending.append((receiver, hostName))
        return HostResolution(hostName)

    def answer(self):
        pending, self._pending = self._pending, []
        for receiver, name in pending:
            receiver.resolutionBegan(HostResolution(name))
            for address in self.names.get(name, ()):
                kind = IPv6Address if ":" in address else IPv4Address
                receiver.addressResolved(kind("TCP", address, 0))
            receiver.resolutionComplete()


def result_of(deferred):
    results = []
    deferred.addBoth(results.append)
    return results


def test_families_take_turns_beginning_with_the_first_found():
    names = Names(a=["2001:db8::1", "2001:db8::2", "192.0.2.1"])
    found = result_of(Resolver(names).resolve("a"))

    names.answer()

    assert found == [("2001:db8::1", "192.0.2.1", "2001:db8::2")]


def test_who_asks_for_a_name_that_is_being_resolved_waits_for_the_same_answer():
    names = Names(a=["192.0.2.1"])
    resolver = Resolver(names)
    first, second = result_of(resolver.resolve("a")), result_of(resolver.resolve("a"))

    names.answer()

    assert names.asked == ["a"]
    assert first == second == [("192.0.2.1",)]
    assert resolver.known("a") == ("192.0.2.1",)


def test_a_name_without_addresses_fails_and_that_is_remembered():
    names = Names()
    resolver = Resolver(names)
    first = result_of(resolver.resolve("nobody.example"))
    names.answer()
    second = result_of(resolver.resolve("nobody.example"))

    assert names.asked == ["nobody.example"]
    for failure in (*first, *second):
        assert failure.check(NameNotResolved)


def test_a_client_with_many_names_holds_up_its_own_alone():
    names = Names()
    resolver = Resolver(names)
    its = [f"{number}.example" for number in range(20)]
    results = [result_of(resolver.resolve(name, "192.0.2.1")) for name in its]

    assert names.asked == its[:16]
    result_of(resolver.resolve("other.example", "192.0.2.2"))
    result_of(resolver.resolve("19.example", "192.0.2.2"))  # which the first one waits for, too
    result_of(resolver.resolve("operator.example"))
    assert names.asked[16:] == ["other.example", "19.example", "operator.example"]
    names.answer()
    assert names.asked[19:] == ["16.example", "17.example", "18.example"]
    names.answer()
    assert all(result for result in results)
    assert not resolver._waiting
    assert not resolver._of_one
    assert not resolver._queued
    assert not resolver._under_way


@pytest.mark.parametrize("literal", ["192.0.2.1", "2001:db8::1"])
def test_an_address_is_not_asked_for(literal):
    names = Names()

    assert result_of(Resolver(names).resolve(literal)) == [(literal,)]
    assert names.asked == []


def test_what_is_remembered_is_bounded():
    resolver = Resolver(Names())

    for number in range(10_000):
        resolver.known(f"10.0.{number // 256}.{number % 256}")

    assert len(resolver._known) <= 4096
