"""Guessing is slowed down, and nobody is locked out from elsewhere."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from proxykit.authentication import attempts as module
from proxykit.authentication.attempts import Attempts, network_of

HERE, THERE = "192.0.2.1", "198.51.100.1"
ALICE, BOB = b"alice", b"bob"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def attempts(clock):
    return Attempts(3, 6, 60.0, clock.seconds)


def fail(attempts, address, account, *guesses):
    for guess in guesses:
        assert attempts.blocked_seconds(address, account, guess) == 0.0
        attempts.begin(address, account, guess)


def test_an_address_has_so_many_guesses_at_an_account_in_a_time(attempts, clock):
    fail(attempts, HERE, ALICE, b"1")
    clock.advance(10)
    fail(attempts, HERE, ALICE, b"2", b"3")

    assert attempts.blocked_seconds(HERE, ALICE, b"4") == 50.0
    assert attempts.blocked_seconds(HERE, ALICE, b"right", is_right=True) == 50.0
    clock.advance(50)
    assert attempts.blocked_seconds(HERE, ALICE, b"4") == 0.0


def test_the_same_wrong_password_again_and_again_is_one_failure(attempts):
    fail(attempts, HERE, ALICE, *[b"old"] * 50)

    assert attempts.blocked_seconds(HERE, ALICE, b"new") == 0.0


def test_the_right_password_from_another_address_is_never_refused(attempts):
    for number in range(100):
        attempts.begin(HERE, ALICE, b"%d" % number)

    assert attempts.blocked_seconds(HERE, ALICE, b"x") > 0
    assert attempts.blocked_seconds(THERE, ALICE, b"right") == 0.0


def test_many_addresses_at_one_account_are_made_to_wait_but_not_its_owner(attempts):
    attempts.begin(THERE, ALICE, b"right")
    attempts.succeeded(THERE, ALICE, b"right")
    delays = [attempts.begin(f"203.0.113.{n}", ALICE, b"%d" % n) for n in range(12)]

    assert delays[:3] == [0.0, 0.0, 0.0]
    assert delays[3:6] == [0.25, 0.5, 1.0]
    assert delays[-1] == 3.0
    assert attempts.begin(THERE, ALICE, b"right") == 0.0
    assert attempts.begin("203.0.113.99", BOB, b"x") == 0.0


def test_a_time_later_nobody_waits_any_more(attempts, clock):
    for number in range(12):
        attempts.begin(f"203.0.113.{number}", ALICE, b"%d" % number)
    clock.advance(61)

    assert attempts.begin(THERE, ALICE, b"x") == 0.0


def test_an_address_that_tries_many_users_is_blocked_for_all_that_is_not_known(attempts):
    for number in range(6):
        fail(attempts, HERE, b"user %d" % number, b"%d" % number)

    assert attempts.blocked_seconds(HERE, BOB, b"x") > 0
    assert attempts.blocked_seconds(HERE, BOB, b"right", is_right=True) == 0.0
    assert attempts.blocked_seconds(THERE, BOB, b"x") == 0.0


def test_a_blocked_address_cannot_guess_at_what_is_remembered(attempts):
    """What is right still passes there, so each guess at it has to count."""
    for number in range(6):
        fail(attempts, HERE, b"user %d" % number, b"%d" % number)
    for guess in (b"a", b"b", b"c"):
        assert attempts.blocked_seconds(HERE, BOB, guess) > 0

    assert attempts.blocked_seconds(HERE, BOB, b"right", is_right=True) > 0


def test_success_takes_back_what_failed_before(attempts):
    fail(attempts, HERE, ALICE, b"1", b"2")
    attempts.begin(HERE, ALICE, b"right")
    attempts.succeeded(HERE, ALICE, b"right")

    fail(attempts, HERE, ALICE, b"3", b"4", b"5")


def test_an_attempt_counts_from_its_beginning(attempts):
    for guess in (b"1", b"2", b"3"):
        attempts.begin(HERE, ALICE, guess)

    assert attempts.blocked_seconds(HERE, ALICE, b"4") > 0


def test_what_could_not_be_verified_does_not_count(attempts):
    for guess in (b"1", b"2", b"3"):
        attempts.begin(HERE, ALICE, guess)
        attempts.withdrawn(HERE, ALICE, guess)

    assert not attempts.any
    assert attempts.blocked_seconds(HERE, ALICE, b"4") == 0.0


def test_success_is_no_failure(attempts):
    for number in range(20):
        attempts.begin(HERE, b"user %d" % number, b"%d" % number)
        attempts.succeeded(HERE, b"user %d" % number, b"%d" % number)

    assert not attempts.any
    assert attempts.blocked_seconds(HERE, ALICE, b"x") == 0.0


def test_clients_without_an_address_are_not_blocked_together(attempts):
    for number in range(50):
        attempts.begin("", ALICE, b"%d" % number)

    assert attempts.blocked_seconds("", ALICE, b"x") == 0.0
    assert attempts.begin("", ALICE, b"x") > 0


def test_every_table_is_bounded(attempts, monkeypatch):
    monkeypatch.setattr(module, "_MOST_KEYS", 50)
    for number in range(500):
        address = f"10.0.{number // 250}.{number % 250}"
        attempts.begin(address, b"%d" % number, b"x")
        attempts.begin(address, b"right %d" % number, b"y")
        attempts.succeeded(address, b"right %d" % number, b"y")

    tables = (attempts._pairs, attempts._addresses, attempts._accounts, attempts._known)
    assert all(len(table) <= 50 for table in tables)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("", ""),
        ("unknown", ""),
    ],
)
def test_a_client_is_an_address_or_an_ipv6_network(address, network):
    assert network_of(address) == network
