"""PAC files, run by a real JavaScript engine."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxykit.forward.pac import PacScript, checked_direct, pac_proxy
from tests.forward.node import run

PROXY = "PROXY proxy.lan:3128"


def direct_of(direct, hosts, names=None, **options):
    """Give the hosts that are fetched without a proxy."""
    script = PacScript([checked_direct(each) for each in direct], **options)
    found, _ = run(script.content([PROXY]), hosts, names)
    assert set(found.values()) <= {"DIRECT", PROXY}
    return {host for host, way in found.items() if way == "DIRECT"}


def test_names_are_taken_by_themselves_with_all_below_or_only_below():
    hosts = ["a.lan", "x.a.lan", "A.LAN", "a.lan.", "xa.lan", "b.lan", "y.b.lan", "c.lan", "z.c.lan",
             "lan.example"]  # fmt: skip

    assert direct_of(["a.lan", ".b.lan", "*.c.lan"], hosts) == {
        "a.lan", "A.LAN", "a.lan.", "b.lan", "y.b.lan", "z.c.lan"
    }  # fmt: skip


def test_names_without_a_dot_go_without_a_proxy_if_not_told_otherwise():
    assert direct_of([], ["intranet", "a.example", "::1"]) == {"intranet"}
    assert direct_of([], ["intranet"], plain_names=False) == set()


def test_networks_are_compared_with_addresses_of_both_kinds():
    hosts = ["10.0.0.0", "10.255.255.255", "11.0.0.0", "9.255.255.255", "192.0.2.5", "192.0.2.8",
             "2001:db8::1", "2001:DB8:0:0:0:0:0:1", "[2001:db8::1]", "2001:db9::1", "::ffff:10.1.2.3",
             "::ffff:0a01:203", "fe80::1%eth0", "::", "10.0.0", "10.0.0.256", "1::2::3", "10.lan"]  # fmt: skip

    assert direct_of(["10.0.0.0/8", "192.0.2.0/29", "2001:db8::/32", "fe80::/10"], hosts) == {
        "10.0.0.0", "10.255.255.255", "192.0.2.5", "2001:db8::1", "2001:DB8:0:0:0:0:0:1",
        "[2001:db8::1]", "::ffff:10.1.2.3", "::ffff:0a01:203", "fe80::1%eth0",
    }  # fmt: skip


def addresses():
    return st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@settings(max_examples=8)
@given(
    st.lists(st.tuples(addresses(), st.integers(0, 128)), min_size=1, max_size=4),
    st.lists(addresses(), min_size=1, max_size=60),
)
def test_any_network_takes_the_addresses_that_python_says_it_does(networks, tried):
    parsed = [
        ipaddress.ip_network(f"{address}/{min(length, address.max_prefixlen)}", strict=False)
        for address, length in networks
    ]
    tried += [network.network_address for network in parsed]
    tried += [network.broadcast_address for network in parsed]
    plain = [getattr(address, "ipv4_mapped", None) or address for address in tried]
    expected = {
        str(written)
        for written, address in zip(tried, plain, strict=True)
        if any(address in network for network in parsed)
    }

    assert direct_of([str(each) for each in parsed], [str(each) for each in tried]) == expected


def test_names_are_looked_up_only_if_asked_and_only_where_it_matters():
    names = {"inside.example": "10.1.1.1", "outside.example": "192.0.2.1"}
    hosts = [*names, "nowhere.example"]
    network = [checked_direct("10.0.0.0/8")]

    assert run(PacScript(network).content([PROXY]), hosts, names)[1] == []
    found, looked = run(PacScript(network, resolve=True).content([PROXY]), hosts, names)
    assert found["inside.example"] == "DIRECT"
    assert found["outside.example"] == found["nowhere.example"] == PROXY
    assert looked == hosts
    assert run(PacScript([], resolve=True).content([PROXY]), hosts, names)[1] == []


def test_proxies_are_named_in_order_and_without_a_proxy_last():
    proxies = [pac_proxy(url) for url in ("http://a.lan:3128", "https://b.lan", "socks5://[::1]")]
    script = PacScript([], fallback=True).content(proxies)

    found, _ = run(script, ["a.example"])

    assert found["a.example"] == "PROXY a.lan:3128; HTTPS b.lan:443; SOCKS5 [::1]:1080; DIRECT"


@pytest.mark.parametrize(
    "bad",
    ['a.lan"; alert(1); "', "a.lan\n", "a lan", "</script>", "10.0.0.0/33", "10.0.0.1/8", "", "*",
     "a.*.lan", "\u2028", "a.lan\\"],
)  # fmt: skip
def test_what_is_no_name_and_no_network_is_refused(bad):
    with pytest.raises(ValueError, match="expected a name"):
        checked_direct(bad)


@pytest.mark.parametrize(
    "bad",
    ['http://a";alert(1)//', "ftp://a", "a:3128", "http://", "http://a:b", "http://u:p@a:1",
     "http://a/x", "http://a:0x1", "http://a b", "http://[::g]:1"],
)  # fmt: skip
def test_what_is_no_proxy_is_refused(bad):
    with pytest.raises(ValueError, match="expected a proxy"):
        pac_proxy(bad)


def test_no_value_could_become_code_even_unchecked():
    evil = '"; throw new Error("injected"); var x = "\u2028\\'
    script = PacScript([evil])

    found, _ = run(script.content([evil]), ["a.example", evil.lower()])

    assert found["a.example"] == evil
    assert found[evil.lower()] == "DIRECT"
