"""What is remembered of credentials, and for how long."""

from __future__ import annotations

from twisted.internet.task import Clock

from proxykit.authentication.identity import Identity
from proxykit.authentication.memory import Memory

ALICE = Identity("alice")


def test_right_credentials_are_remembered_for_their_time():
    clock = Clock()
    memory = Memory(60.0, clock=clock.seconds)
    digest = memory.digest(b"Basic YTpi")
    memory.accept(digest, ALICE, b"account")

    clock.advance(59)
    assert memory.accepted(digest).identity is ALICE
    clock.advance(1)
    assert memory.accepted(digest) is None
    assert repr(memory) == "<Memory 0 right, 0 wrong>"


def test_wrong_credentials_are_never_remembered_for_longer():
    clock = Clock()
    short, long = Memory(2.0, clock=clock.seconds), Memory(600.0, clock=clock.seconds)
    short.refuse(b"x")
    long.refuse(b"x")

    clock.advance(1.9)
    assert short.is_refused(b"x")
    assert long.is_refused(b"x")
    clock.advance(0.2)
    assert not short.is_refused(b"x")
    clock.advance(10)
    assert not long.is_refused(b"x")


def test_nothing_is_remembered_when_that_is_asked_for():
    memory = Memory(0.0)
    memory.accept(b"x", ALICE, b"")
    memory.refuse(b"y")

    assert memory.accepted(b"x") is None
    assert not memory.is_refused(b"y")


def test_a_token_is_not_remembered_for_longer_than_it_holds():
    clock = Clock()
    memory = Memory(60.0, clock=clock.seconds)
    memory.accept(b"x", ALICE, b"", 5.0)
    memory.accept(b"y", ALICE, b"", -1.0)

    assert memory.accepted(b"y") is None
    clock.advance(5)
    assert memory.accepted(b"x") is None


def test_guesses_do_not_push_out_what_is_right():
    memory = Memory(60.0, most=10)
    memory.accept(b"right", ALICE, b"")
    for number in range(100):
        memory.refuse(b"%d" % number)

    assert memory.accepted(b"right") is not None
    assert repr(memory) == "<Memory 1 right, 10 wrong>"


def test_there_are_never_more_than_there_may_be():
    memory = Memory(60.0, most=10)
    for number in range(100):
        memory.accept(b"%d" % number, ALICE, b"")

    assert repr(memory) == "<Memory 10 right, 0 wrong>"
    assert memory.accepted(b"99") is not None


def test_a_change_forgets_everything_and_can_be_told():
    memory = Memory(60.0)
    before = memory.generation
    memory.accept(b"x", ALICE, b"")
    memory.refuse(b"y")
    memory.forget()

    assert memory.accepted(b"x") is None
    assert not memory.is_refused(b"y")
    assert memory.generation != before


def test_digests_are_keyed():
    assert Memory(1.0).digest(b"x") != Memory(1.0).digest(b"x")
