"""What parents and outgoing addresses are for."""

from __future__ import annotations

import pytest

from proxykit.errors import DestinationProhibited
from proxykit.forward.destinations import check_unresolved
from proxykit.forward.rules import destinations
from proxykit.options import parse_network


@pytest.mark.parametrize(
    ("pattern", "host", "expected"),
    [
        ("a.example", "a.example", True),
        ("a.example", "a.example.", True),
        ("a.example", "b.a.example", False),
        ("*.a.example", "b.a.example", True),
        ("*.a.example", "a.example", False),
        (".a.example", "a.example", True),
        (".a.example", "ba.example", False),
        ("*", "192.0.2.1", True),
        (parse_network("192.0.2.0/24"), "192.0.2.9", True),
        (parse_network("192.0.2.0/24"), "198.51.100.1", False),
        (parse_network("192.0.2.0/24"), "192.0.2.9.example", False),
        (parse_network("2001:db8::/32"), "2001:db8::1", True),
        (parse_network("0.0.0.0/0"), "a.example", False),
    ],
)
def test_a_pattern_is_for_a_domain_or_for_addresses(pattern, host, expected):
    assert destinations([pattern])(host) is expected


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "::1", "::ffff:10.0.0.1", "10.1", "0177.0.0.1", "3232235777", "0", "localhost",
     "localhost.", "x.localhost", "169.254.169.254", "fe80::1", "fec0::1", "192.0.0.192"],
)  # fmt: skip
def test_an_address_inside_is_known_in_every_form(host):
    with pytest.raises(DestinationProhibited):
        check_unresolved(host)


@pytest.mark.parametrize("host", ["a.example", "8.8.8.8", "2001:4860:4860::8888", "x.onion", "1a"])
def test_other_names_and_addresses_are_the_parents_to_judge(host):
    check_unresolved(host)
