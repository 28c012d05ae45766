"""Who serves which keys: a table of slots, each won by one server.

The table is looked up as Maglev's is (Eisenbud et al., NSDI 2016), but filled by weighted
rendezvous hashing (Thaler and Ravishankar 1998; weights as Schindelhauer and Schomaker 2005):
for each slot each server draws the time at which it would arrive, from its name and the slot
alone, the faster the more it weighs, and who arrives first has the slot. Maglev's own filling
shifts slots between servers that stay when another goes; here none moves but those that the one
had. A ring (ketama) shares that virtue, but needs weights scaled to whole numbers of points, and
thousands of them to be as even.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from hashlib import shake_256
from math import inf, log
from typing import Any

from .weights import Weights

SLOTS = 1 << 14
"""So that a server with a tenth of the weight has a tenth of the keys, give or take 0.25 %."""

_WIDTH = array("I").itemsize
_SCALE = 1.0 / (1 << 8 * _WIDTH)


class SlotTable:
    """The slots of one tuple of servers.

    A slot is won when it is first asked for: a change of the servers costs nothing at once, and
    nothing at all for the keys that nobody uses.

    :ivar weights: the servers and what they weigh.
    """

    __slots__ = ("_draws", "_owners", "weights")

    def __init__(self, servers: Sequence[Any], previous: SlotTable | None = None) -> None:
        """Begin with empty slots.

        :param previous: whose draws are taken over; they depend on nothing but names.
        """
        known = previous._draws if previous is not None else {}
        self.weights = Weights(servers)
        self._owners: list[Any] = [None] * SLOTS
        self._draws: dict[str, array[int]] = {
            server.name: known.get(server.name) or _draws_of(server.name) for server in servers
        }

    def owner(self, slot: int) -> Any:
        """Give the server that has a slot."""
        owner = self._owners[slot]
        if owner is None:
            owner = self._owners[slot] = self.winner(slot, self.weights.servers)
        return owner

    def winner(self, slot: int, servers: Sequence[Any]) -> Any:
        """Give who of some of this table's servers wins a slot."""
        best: Any = None
        earliest = inf
        for server in servers:
            # Exponentially distributed: the first of several is each with its weight's chance.
            arrival = -log((self._draws[server.name][slot] + 0.5) * _SCALE)
            arrival /= server.effective_weight
            if best is None or arrival < earliest:
                best, earliest = server, arrival
        return best


def _draws_of(name: str) -> array[int]:
    """Give a server's draw for each slot; the same in every process and after every start."""
    return array("I", shake_256(name.encode("utf-8")).digest(_WIDTH * SLOTS))
