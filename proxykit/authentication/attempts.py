"""Guessing passwords, made slow without locking anybody out from elsewhere.

Failures are counted in a sliding window, each wrong guess once: a program that keeps sending an
old password is one failure, not thousands. There are three counts.

* An *account at an address* (a user name, tried from one address). At its limit that address gets
  no further guess at that account until the oldest failure has left the window.
* An *address*. At its limit, only credentials that were right a short while ago are still taken
  from there. That cannot be used to guess on: each try counts for the account at that address.
* An *account*, from all addresses. Over its limit it is never refused, only made to wait, and not
  where its owner is known to come from. So nobody can lock a user out from another address.

An attempt counts from when it begins, or many at a time would pass before the first has failed.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import Any

_MOST_KEYS = 10_000
_LONGEST_DELAY_SECONDS = 3.0
_FIRST_DELAY_SECONDS = 0.25
_KNOWN_SECONDS = 24 * 3600.0

Failures = dict[bytes, float]


class Attempts:
    """Counts wrong guesses; every table is bounded, the keys longest unused go first."""

    def __init__(
        self,
        per_account: int,
        per_address: int,
        window_seconds: float,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """Begin with no failures.

        :param per_account: how many wrong guesses at an account an address has.
        :param per_address: and how many in all.
        :param window_seconds: in which time.
        """
        self._per_account = per_account
        self._per_address = per_address
        self._window = window_seconds
        self._clock = clock
        self._pairs: dict[tuple[str, bytes], Failures] = {}
        self._addresses: dict[str, Failures] = {}
        self._accounts: dict[bytes, Failures] = {}
        self._known: dict[tuple[str, bytes], float] = {}

    @property
    def any(self) -> bool:
        """Whether there are failures at all; while there are none, nobody need be asked about."""
        return bool(self._pairs)

    def blocked_seconds(
        self, address: str, account: bytes, guess: bytes, *, is_right: bool = False
    ) -> float:
        """Say for how long no guess is taken.

        :param address: the client's, ``""`` when that is not known: then nothing is refused.
        :param account: a digest of the user's name.
        :param guess: a digest of the credentials.
        :param is_right: whether they were right a short while ago.
        :returns: seconds, 0 to go on.
        """
        network = network_of(address)
        if not network:
            return 0.0
        pair = (network, account)
        now = self._clock()
        seconds = self._full(self._pairs, pair, self._per_account, guess, now)
        if seconds:
            return seconds
        seconds = self._full(self._addresses, network, self._per_address, guess, now)
        if seconds and not is_right:
            # Not verified, but a guess all the same: the right answer would have shown.
            _count(self._pairs, pair, self._per_account, guess, now)
            return seconds
        return 0.0

    def begin(self, address: str, account: bytes, guess: bytes) -> float:
        """Count an attempt.

        :returns: how many seconds it has to wait before it is verified.
        """
        network = network_of(address)
        now = self._clock()
        _count(self._accounts, account, self._per_account + 8, guess, now)
        if network:
            _count(self._pairs, (network, account), self._per_account, guess, now)
            _count(self._addresses, network, self._per_address, guess, now)
        if self._known.get((network, account), 0.0) > now:
            return 0.0
        failures = self._accounts[account]
        self._prune(failures, now)
        over = len(failures) - 1 - self._per_account
        if over < 0:
            return 0.0
        return min(_FIRST_DELAY_SECONDS * 2.0**over, _LONGEST_DELAY_SECONDS)

    def succeeded(self, address: str, account: bytes, guess: bytes) -> None:
        """Take back an attempt that was right, and what failed before it at this account here."""
        network = network_of(address)
        self._take_back(network, account, guess)
        if network:
            self._pairs.pop((network, account), None)
            key = (network, account)
            self._known.pop(key, None)
            if len(self._known) >= _MOST_KEYS:
                del self._known[next(iter(self._known))]
            self._known[key] = self._clock() + _KNOWN_SECONDS

    def withdrawn(self, address: str, account: bytes, guess: bytes) -> None:
        """Take back an attempt of which nobody could say whether it was right."""
        network = network_of(address)
        self._take_back(network, account, guess)
        pair = (network, account)
        failures = self._pairs.get(pair)
        if failures is not None:
            failures.pop(guess, None)
            if not failures:
                del self._pairs[pair]

    def _take_back(self, network: str, account: bytes, guess: bytes) -> None:
        of_account = self._accounts.get(account)
        if of_account is not None:
            of_account.pop(guess, None)
            if not of_account:
                del self._accounts[account]
        of_address = self._addresses.get(network)
        if of_address is not None:
            of_address.pop(guess, None)
            if not of_address:
                del self._addresses[network]

    def _full(
        self, table: dict[Any, Failures], key: object, limit: int, guess: bytes, now: float
    ) -> float:
        """Say for how many seconds there is no room for another guess; 0 for one known to fail."""
        failures = table.get(key)
        if failures is None:
            return 0.0
        self._prune(failures, now)
        if not failures:
            del table[key]
            return 0.0
        if len(failures) < limit or guess in failures:
            return 0.0
        return next(iter(failures.values())) + self._window - now

    def _prune(self, failures: Failures, now: float) -> None:
        oldest = now - self._window
        while failures:
            first = next(iter(failures))
            if failures[first] > oldest:
                return
            del failures[first]


def _count(table: dict[Any, Failures], key: object, limit: int, guess: bytes, now: float) -> None:
    """Count a guess once; a full count forgets its oldest."""
    failures = table.pop(key, None)
    if failures is None:
        failures = {}
        if len(table) >= _MOST_KEYS:
            del table[next(iter(table))]
    table[key] = failures
    if guess in failures:
        return
    while len(failures) >= limit:
        del failures[next(iter(failures))]
    failures[guess] = now


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """Give what is one client: an IPv4 address, or an IPv6 /64, of which every client has many.

    :param address: ``""`` for a client without one, which stays ``""``.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, 64), strict=False))
