"""The table of learnt sessions is bounded and forgets."""

from __future__ import annotations

from twisted.internet.task import Clock

from proxykit.balancing.learnt_sessions import LearntSessions


def test_a_session_is_found_until_it_was_not_used_for_so_long():
    clock = Clock()
    sessions = LearntSessions(clock.seconds)
    sessions.learn(b"s", "one", 10, 100)
    for _ in range(5):
        clock.advance(9)
        assert sessions.find(b"s", 10) == "one"
    clock.advance(10)

    assert sessions.find(b"s", 10) is None
    assert len(sessions) == 0


def test_the_sessions_used_last_are_kept():
    sessions = LearntSessions()
    for number in range(10):
        sessions.learn(b"%d" % number, "one", 10, 10)
    sessions.find(b"0", 10)
    sessions.learn(b"new", "two", 10, 10)

    assert len(sessions) == 10
    assert sessions.find(b"0", 10) == "one"
    assert sessions.find(b"1", 10) is None
    assert sessions.find(b"new", 10) == "two"


def test_what_nobody_asks_for_is_forgotten_when_something_is_learnt():
    clock = Clock()
    sessions = LearntSessions(clock.seconds)
    for number in range(50):
        sessions.learn(b"%d" % number, "one", 10, 100)
    clock.advance(11)
    sessions.learn(b"new", "one", 10, 100)

    assert len(sessions) == 1


def test_a_session_that_moves_is_found_where_it_is():
    sessions = LearntSessions()
    sessions.learn(b"s", "one", 10, 100)
    sessions.learn(b"s", "two", 10, 100)

    assert sessions.find(b"s", 10) == "two"


def test_a_reload_may_shrink_the_table():
    sessions = LearntSessions()
    for number in range(50):
        sessions.learn(b"%d" % number, "one", 10, 100)
    sessions.learn(b"new", "one", 10, 5)

    assert len(sessions) == 5
