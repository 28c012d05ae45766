"""Servers out of a file: what it may say, and what changes nothing."""

from __future__ import annotations

import os

import pytest
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from proxykit.balancing.file_source import FileSource
from proxykit.balancing.sources import FoundServer
from proxykit.service.sources import found_server


class Watched:
    """A source of a file, and what it found."""

    def __init__(self, path):
        self.path = path
        self.clock = Clock()
        self.found = []
        self.source = FileSource(path, "app", self.clock, found_server)

    def write(self, text):
        self.path.write_text(text)
        # Whatever the clock of the file system is: this is another time than before.
        before = self.path.stat().st_mtime_ns
        os.utime(self.path, ns=(before, before + len(self.found) * 1_000_000_000 + 1))
        self.clock.advance(1)

    def urls(self):
        return [[each.url for each in servers] for servers in self.found]


@pytest.fixture
def logged():
    lines = []

    def observe(event):
        lines.append(event["log_format"].format(**event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", "http://a:1 weight=2 # first\n\n# none\nunix:/b backup\n"),
        (
            "a.toml",
            'servers = [{ url = "http://a:1", weight = 2 }, { url = "unix:/b", backup = true }]',
        ),
        ("a.json", '[{"url": "http://a:1", "weight": 2}, {"url": "unix:/b", "backup": true}]'),
        (
            "a.json",
            '{"servers": [{"url": "http://a:1", "weight": 2}, {"url": "unix:/b", "backup": true}]}',
        ),
    ],
)
def test_what_a_file_says(tmp_path, name, text):
    watched = Watched(tmp_path / name)
    watched.path.write_text(text)
    watched.source.start(watched.found.append)

    assert watched.found == [[FoundServer("http://a:1", 2), FoundServer("unix:/b", 1, True)]]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a", "", "names no server"),
        ("a", "ftp://a", "expected a server"),
        ("a", "http://a wieght=3", "wieght=3: Extra"),
        ("a", "http://a\nhttp://a", "twice"),
        ("a", "http://a weight=9999999", "weight"),
        ("a", "\n".join(f"http://a:{port}" for port in range(1, 1100)), "more than 1024"),
        ("a", "#" * (1024 * 1024 + 1), "larger than 1 MiB"),
        ("a.toml", "servers = 1", "no list"),
        ("a.toml", "servers = [", ""),
        ("a.json", "[" * 100_000, ""),
        ("a.json", '[{"url": 1}]', "url"),
    ],
)
def test_what_makes_no_sense_changes_nothing_and_is_logged_once(tmp_path, logged, name, text, why):
    watched = Watched(tmp_path / name)
    watched.path.write_text(text)
    watched.source.start(watched.found.append)
    watched.clock.pump([1] * 3)

    assert watched.found == []
    assert len(logged) == 1
    assert "changes nothing in the pool app" in logged[0]
    assert why in logged[0]


def test_a_file_is_read_again_when_it_has_changed_and_told_when_its_servers_have(tmp_path, logged):
    watched = Watched(tmp_path / "a")
    watched.source.start(watched.found.append)
    watched.write("http://a")
    watched.write("http://a  # the same")
    watched.write("http://b")
    watched.path.unlink()
    watched.clock.pump([1] * 3)

    assert watched.urls() == [["http://a"], ["http://b"]]
    assert sum("No such file" in line for line in logged) == 2, "before it came, after it went"


def test_nothing_is_left_to_wait_for_after_the_end(tmp_path):
    watched = Watched(tmp_path / "a")
    watched.source.start(watched.found.append)

    watched.source.stop()

    assert watched.clock.getDelayedCalls() == []
