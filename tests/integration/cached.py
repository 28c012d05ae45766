"""What the tests of the cache share: an origin, proxies, crowds, and words for their answers."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import contextmanager

from demo.proxies import Proxy, free_port
from tests.scripted import ScriptedOrigin, exchange, read_all

DIGITS = b"0123456789"


class Site(ScriptedOrigin):
    """An origin whose answers are put by path; it counts who asked for what."""

    def __init__(self):
        super().__init__(self._answer)
        self.answers = {}
        self.asked = []
        self.lock = threading.Lock()

    def put(self, path, fields=b"", content=b"ok", status=b"200 OK"):
        length = b"" if status[:3] in (b"304", b"204") else b"Content-Length: %d\r\n" % len(content)
        self.answers[path] = b"HTTP/1.1 %s\r\n%s%s\r\n%s" % (status, fields, length, content)

    def count(self, path):
        return sum(1 for head in self.asked if head.split(b" ")[1] == path)

    def last(self, path):
        return [head for head in self.asked if head.split(b" ")[1] == path][-1]

    def _answer(self, connection, head):
        with self.lock:
            self.asked.append(head)
        answer = self.answers[head.split(b" ")[1]]
        if callable(answer):
            answer(connection, head)
        else:
            connection.sendall(answer)


def ask(path, extra=b"", method=b"GET", content=b""):
    if content:
        extra += b"Content-Length: %d\r\n" % len(content)
    return b"%s %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n%s" % (
        method,
        path,
        extra,
        content,
    )


def field(answer, name):
    head = answer.partition(b"\r\n\r\n")[0]
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b": ")
        if key.lower() == name.lower():
            return value
    return None


def content(answer):
    return answer.partition(b"\r\n\r\n")[2]


def status(answer):
    return answer.split(b" ", 2)[1]


def cache_says(answer):
    return field(answer, b"Cache-Status").partition(b"; ")[2]


@contextmanager
def serving(directory, configuration, port=None, **named):
    """Run a proxy with a configuration that has places for its port and for what is named.

    What it was started with is its ``file``.
    """
    port = port or free_port()
    file = directory / f"{port}.toml"
    file.write_text(configuration.format(port=port, **named))
    with Proxy(directory, "serve", "--config", str(file), port=port) as running:
        running.file = file
        yield running


def fresh(age=0, lifetime=60):
    return b'Cache-Control: max-age=%d\r\nAge: %d\r\nETag: "v1"\r\n' % (lifetime, age)


def body_of(size):
    return random.Random(size).randbytes(size)


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def crowd(proxy, requests, then=lambda: None):
    """Send requests at the same time, each on a connection of its own; give the answers.

    :param then: called when the proxy has read them all.
    """
    connections = [socket.create_connection(proxy.address, timeout=10) for _ in requests]
    for connection, data in zip(connections, requests, strict=True):
        connection.sendall(data)
    # What is sent after them is answered after they were read.
    for _ in range(2):
        exchange(proxy.address, ask(b"/after-the-crowd", b"Cache-Control: only-if-cached\r\n"))
    then()
    answers = []
    for connection in connections:
        with connection:
            answers.append(read_all(connection))
    return answers


def gate(site, path, answer):
    """Have an answer wait until it is let go; give what lets it go."""
    open_gate = threading.Event()

    def wait(connection, head):
        open_gate.wait(5)
        answer(connection) if callable(answer) else connection.sendall(answer)

    site.answers[path] = wait
    return open_gate


def crowd_behind_a_gate(proxy, site, path, answer, count=100):
    open_gate = gate(site, path, answer)
    return crowd(proxy, [ask(path)] * count, open_gate.set)


def ranged(head):
    """Answer as an origin with a strong validator that knows ranges."""
    tag = b'ETag: "r1"\r\nCache-Control: max-age=60\r\n'
    line = next((each for each in head.split(b"\r\n") if each.startswith(b"Range: ")), None)
    if line is None:
        return b"HTTP/1.1 200 OK\r\n%sContent-Length: 10\r\n\r\n%s" % (tag, DIGITS)
    first, _, last = line.partition(b"=")[2].partition(b"-")
    last = last or b"9"
    part = DIGITS[int(first) : int(last) + 1]
    return (
        b"HTTP/1.1 206 Partial Content\r\n%sContent-Range: bytes %s-%s/10\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (tag, first, last, len(part), part)
    )
