"""Files of users and groups: what they say, and what is wrong in them."""

from __future__ import annotations

import os

import pytest
from twisted.internet.task import Clock

from proxykit.authentication.htpasswd import parse_groups, parse_users
from proxykit.authentication.watched_file import WatchedFile
from proxykit.errors import ConfigurationError

HASH = "$2y$04$" + "a" * 53
SHA = "$6$salt$" + "a" * 86


def test_users_and_comments():
    users = parse_users(f"# who\n\nalice:{HASH}\r\n  jürgen:{HASH}:more\n".encode())

    assert users.hashes == {b"alice": HASH, "jürgen".encode(): HASH}
    assert users.nobodys.startswith("$2b$04$")
    assert HASH not in repr(users)


def test_nobodys_hash_is_like_most_of_the_file():
    text = f"a:{SHA}\nb:{SHA}\nc:{HASH}\n".encode()

    assert parse_users(text).nobodys.startswith("$6$")
    assert parse_users(b"").nobodys.startswith("$2b$10$")


def test_everything_wrong_is_said_at_once_by_line_and_nothing_is_quoted():
    text = f"alice:{HASH}\nbob:$apr1$x$secrethash\nalice:{HASH}\nsecretline\n:x\ncarol :{HASH}"
    with pytest.raises(ValueError, match="line 2: MD5") as caught:
        parse_users(text.encode())

    message = str(caught.value)
    assert all(f"line {number}:" in message for number in (2, 3, 4, 5, 6))
    assert "hash-password" in message
    assert "secret" not in message


def test_a_file_that_is_not_utf_8_is_refused():
    with pytest.raises(ValueError, match="UTF-8"):
        parse_users(b"j\xfcrgen:x")


def test_groups():
    groups = parse_groups(b"# g\nstaff: alice bob\nadmins:alice\nempty:\nstaff: carol\n")

    assert groups == {
        "alice": {"staff", "admins"},
        "bob": {"staff"},
        "carol": {"staff"},
    }
    with pytest.raises(ValueError, match="line 1"):
        parse_groups(b"alice bob\n")


class Threads:
    """Does in the reactor's place what would be done in a thread."""

    def __init__(self, clock):
        self.seconds = clock.seconds
        self.looks = 0

    def getThreadPool(self):
        return self

    def callInThreadWithCallback(self, done, call, *arguments, **more):
        from twisted.python.failure import Failure

        self.looks += 1
        try:
            result = call(*arguments, **more)
        except Exception:
            done(False, Failure())
        else:
            done(True, result)

    def callFromThread(self, call, *arguments, **more):
        call(*arguments, **more)


@pytest.fixture
def watched(tmp_path):
    path = tmp_path / "file"
    path.write_text("1")
    clock = Clock()
    changes = []
    reactor = Threads(clock)
    file = WatchedFile(path, int, reactor, lambda: changes.append(1), clock.seconds)
    file.test = (path, clock, changes, reactor)
    return file


def rewrite(path, text):
    before = os.stat(path)
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000))


def test_a_changed_file_is_read_again_at_most_once_a_second(watched):
    path, clock, changes, _ = watched.test
    rewrite(path, "2")
    watched.look()
    assert watched.value == 1

    clock.advance(1)
    watched.look()
    assert watched.value == 2
    assert changes == [1]


def test_a_file_that_stays_is_not_read_again(watched):
    _, clock, changes, reactor = watched.test
    for _ in range(5):
        clock.advance(1)
        watched.look()

    assert changes == []
    assert reactor.looks == 0


def test_a_bad_or_missing_file_leaves_what_was_and_is_read_once(watched):
    path, clock, changes, reactor = watched.test
    rewrite(path, "nonsense")
    for _ in range(5):
        clock.advance(1)
        watched.look()
    assert watched.value == 1
    assert reactor.looks == 1

    path.unlink()
    clock.advance(1)
    watched.look()
    assert watched.value == 1

    path.write_text("3")
    clock.advance(1)
    watched.look()
    assert watched.value == 3
    assert changes == [1]


def test_a_file_that_is_not_there_at_first_is_a_fault_of_the_configuration(tmp_path):
    with pytest.raises(ConfigurationError, match="nowhere"):
        WatchedFile(tmp_path / "nowhere", int, Threads(Clock()))
