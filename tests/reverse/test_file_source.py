"""A file is given piece by piece, as its taker asks, with and without a thread."""

from __future__ import annotations

import os

import pytest

from proxykit.reverse import file_source
from proxykit.reverse.file_source import FileSource
from tests.threads import ThreadsClock

CONTENT = bytes(range(256)) * 1024  # four pieces


class Taker:
    """Keeps what it is given, and pauses the source when told to."""

    def __init__(self, pause_after=None, stop_after=None):
        self.source = None
        self.pieces = []
        self.ended = self.error = None
        self.pause_after = pause_after
        self.stop_after = stop_after

    def content_received(self, data):
        self.pieces.append(data)
        if len(self.pieces) == self.pause_after:
            self.source.pause()
        if len(self.pieces) == self.stop_after:
            self.source.stop()

    def flush(self):
        pass

    def response_ended(self, trailers):
        self.ended = True

    def response_failed(self, error, *, untouched):
        self.error = error


@pytest.fixture(params=["at once", "by a thread"])
def reading(request, monkeypatch):
    """Reading from the page cache, and as where the system cannot tell what is in it."""
    if request.param == "by a thread":
        monkeypatch.setattr(file_source, "_NO_WAIT", 0)


def give(tmp_path, start=0, size=256 * 1024, taker=None):
    file = tmp_path / "file"
    file.write_bytes(CONTENT)
    reactor = ThreadsClock()
    source = FileSource(reactor, os.open(file, os.O_RDONLY), start, size)
    taker = taker or Taker()
    taker.source = source
    return reactor, source, taker


def is_closed(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


def run(reactor, turns=50):
    reactor.pump([0] * turns)


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize(("start", "size"), [(0, len(CONTENT)), (7, 100_000), (200_000, 1)])
def test_a_part_is_given_whole_and_the_file_is_closed(tmp_path, start, size):
    reactor, source, taker = give(tmp_path, start, size)
    descriptor = source._descriptor

    source.start(taker)
    run(reactor)

    assert b"".join(taker.pieces) == CONTENT[start : start + size]
    assert taker.ended
    assert is_closed(descriptor)


@pytest.mark.usefixtures("reading")
def test_nothing_is_given_while_it_is_paused(tmp_path):
    reactor, source, taker = give(tmp_path, taker=Taker(pause_after=2))
    source.start(taker)
    run(reactor)
    assert len(taker.pieces) == 2

    source.resume()
    source.resume()
    run(reactor)
    assert b"".join(taker.pieces) == CONTENT


@pytest.mark.usefixtures("reading")
def test_a_pause_while_a_thread_reads_keeps_the_piece(tmp_path):
    reactor, source, taker = give(tmp_path)
    source.start(taker)
    before = len(taker.pieces)
    source.pause()
    run(reactor)
    assert len(taker.pieces) == before

    source.resume()
    run(reactor)
    assert b"".join(taker.pieces) == CONTENT


@pytest.mark.usefixtures("reading")
@pytest.mark.parametrize("stop_after", [0, 1, 2])
def test_a_source_that_is_stopped_gives_no_more_and_closes_its_file(tmp_path, stop_after):
    reactor, source, taker = give(tmp_path, taker=Taker(stop_after=stop_after or None))
    descriptor = source._descriptor
    source.start(taker)
    if not stop_after:
        source.stop()  # a thread may be reading
    given = len(taker.pieces)
    run(reactor)

    assert len(taker.pieces) == (stop_after or given) < 4
    assert not taker.ended
    assert is_closed(descriptor)
    assert not reactor.getDelayedCalls()


@pytest.mark.usefixtures("reading")
def test_a_file_that_got_shorter_fails_the_response(tmp_path):
    reactor, source, taker = give(tmp_path, taker=Taker(pause_after=1))
    source.start(taker)
    run(reactor)
    os.truncate(tmp_path / "file", 10)
    source.resume()
    run(reactor)

    assert taker.error is not None
    assert not taker.ended
