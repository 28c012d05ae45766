"""A real name server, Twisted's, of a zone in a file: ``python names.py PORT ZONE ASKED``.

Started by the tests of sources, in a process of its own. The zone is read for each question.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import fail, succeed
from twisted.names import dns, server
from twisted.names.error import DomainError

PORT, ZONE, ASKED = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])


def header(name, kind, ttl, payload):
    return dns.RRHeader(name, kind, ttl=ttl, payload=payload)


def record(name, kind, ttl, *data):
    if kind == "A":
        return header(name, dns.A, ttl, dns.Record_A(data[0], ttl))
    if kind == "CNAME":
        return header(name, dns.CNAME, ttl, dns.Record_CNAME(data[0], ttl))
    if kind == "SRV":
        return header(name, dns.SRV, ttl, dns.Record_SRV(*data, ttl=ttl))
    return header(data[0], dns.A, ttl, dns.Record_A(data[1], ttl))  # a stranger in the answer


class Zone:
    """Answers out of the file."""

    def query(self, query, timeout=None):
        with ASKED.open("a") as asked:
            asked.write(f"{query.name} {query.type}\n")
        names = [str(query.name)]
        answers = []
        for name, kind, ttl, *data in json.loads(ZONE.read_text()):
            if name not in names:
                continue
            if kind == "CNAME":
                names.append(data[0])
            if kind in ("CNAME", "STRANGER") or getattr(dns, kind) == query.type:
                answers.append(record(name, kind, ttl, *data))
        if not answers:
            return fail(DomainError(query.name))
        return succeed((answers, [], []))


factory = server.DNSServerFactory(clients=[Zone()])
reactor.listenUDP(PORT, dns.DNSDatagramProtocol(factory), interface="127.0.0.1")
reactor.listenTCP(PORT, factory, interface="127.0.0.1")
reactor.callWhenRunning(lambda: print("ready", flush=True))
reactor.run()
