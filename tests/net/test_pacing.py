"""Buckets and flows on a clock: exact, fair, nested, and holding back whom they should."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from proxykit.net.flow import Flow
from proxykit.net.pacing import BEAT, Bucket, Pacemaker

KIB = 1024
MIB = 1024 * KIB


class Source:
    """Gives as much as its flow takes, in pieces of one size."""

    def __init__(self, clock, buckets, piece=256 * KIB):
        self._clock = clock
        self._piece = bytes(piece)
        self._held = False
        self.delivered = 0
        self.most_kept = 0
        self.flow = Flow(buckets, self._deliver, self._hold)

    def start(self):
        given = 0
        while not self._held:
            self.flow.feed(self._piece)
            self.most_kept = max(self.most_kept, self.flow.kept)
            given += len(self._piece)
            if given > 128 * KIB:
                if not self._held:
                    # What a socket has next is there a turn later.
                    self._clock.callLater(0.001, self.start)
                return

    def _deliver(self, data):
        self.delivered += len(data)

    def _hold(self, hold):
        self._held = hold
        if not hold:
            self._clock.callLater(0.001, self.start)


def advance(clock, seconds, step=0.002):
    for _ in range(round(seconds / step)):
        clock.advance(step)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pacemaker(clock):
    return Pacemaker(clock, clock.seconds)


@pytest.mark.parametrize("rate", [4 * KIB, 100 * KIB, 2 * MIB, 50 * MIB])
@pytest.mark.parametrize("piece", [1400, 64 * KIB, 256 * KIB])
@pytest.mark.parametrize("flows", [1, 7])
def test_a_rate_is_exact_to_five_per_cent_over_ten_seconds(clock, pacemaker, rate, piece, flows):
    bucket = Bucket(rate, None, pacemaker)
    sources = [Source(clock, [bucket], piece) for _ in range(flows)]
    for source in sources:
        source.start()
    advance(clock, 10)

    assert sum(source.delivered for source in sources) == pytest.approx(rate * 10, rel=0.05)


@pytest.mark.parametrize("rate", [100 * KIB, 2 * MIB, 20 * MIB])
def test_flows_of_one_bucket_have_equal_shares_whatever_their_pieces(clock, pacemaker, rate):
    bucket = Bucket(rate, None, pacemaker)
    sources = [
        Source(clock, [bucket], piece) for piece in (1400, 8000, 64 * KIB, 256 * KIB, 256 * KIB)
    ]
    for source in sources:
        source.start()
    advance(clock, 1)  # the burst was the first one's
    before = [source.delivered for source in sources]
    advance(clock, 10)

    for source, already in zip(sources, before, strict=True):
        assert source.delivered - already == pytest.approx(rate * 10 / len(sources), rel=0.05)


def test_who_comes_later_has_an_equal_share_from_then_on(clock, pacemaker):
    bucket = Bucket(MIB, None, pacemaker)
    first, second = (Source(clock, [bucket]) for _ in range(2))
    first.start()
    advance(clock, 5)
    before = first.delivered
    second.start()
    advance(clock, 5)

    assert second.delivered == pytest.approx(first.delivered - before, rel=0.1)
    assert second.delivered == pytest.approx(2.5 * MIB, rel=0.1)


def test_a_hundred_flows_share_one_bucket(clock, pacemaker):
    bucket = Bucket(2 * MIB, None, pacemaker)
    sources = [Source(clock, [bucket], 64 * KIB) for _ in range(100)]
    for source in sources:
        source.start()
    advance(clock, 1)
    before = [source.delivered for source in sources]
    advance(clock, 10)

    for source, already in zip(sources, before, strict=True):
        assert source.delivered - already == pytest.approx(0.2 * MIB, rel=0.05)


def test_nested_buckets_all_hold_and_nothing_is_left_lying(clock, pacemaker):
    """Two flows of a narrow client, one of a wide one, and a total for both."""
    narrow = Bucket(200 * KIB, None, pacemaker)
    wide = Bucket(2 * MIB, None, pacemaker)
    total = Bucket(MIB, None, Pacemaker(clock, clock.seconds))
    one, two = (Source(clock, [total, narrow]) for _ in range(2))
    other = Source(clock, [total, wide])
    for source in (one, two, other):
        source.start()
    advance(clock, 10)

    assert one.delivered + two.delivered == pytest.approx(2000 * KIB, rel=0.05)
    assert one.delivered == pytest.approx(two.delivered, rel=0.1)
    everything = one.delivered + two.delivered + other.delivered
    assert everything == pytest.approx(10 * MIB, rel=0.05)


def test_clients_that_fill_a_total_have_equal_shares_of_it(clock, pacemaker):
    total = Bucket(MIB, None, pacemaker)
    sources = [Source(clock, [Bucket(MIB // 2, None, pacemaker), total]) for _ in range(8)]
    for source in sources:
        source.start()
    advance(clock, 10)

    for source in sources:
        assert source.delivered == pytest.approx(10 * MIB / 8, rel=0.1)


def test_both_directions_of_one_bucket_share_it(clock, pacemaker):
    bucket = Bucket(MIB, None, pacemaker)
    upload, download = (Source(clock, [bucket]) for _ in range(2))
    upload.start()
    download.start()
    advance(clock, 10)

    assert upload.delivered + download.delivered == pytest.approx(10 * MIB, rel=0.05)
    assert upload.delivered == pytest.approx(download.delivered, rel=0.1)


def test_small_exchanges_one_after_the_other_are_paced_too(clock, pacemaker):
    """Each has a flow of its own and ends before its bucket is spent."""
    bucket = Bucket(100 * KIB, None, pacemaker)
    sent = []

    def next_exchange():
        flow = Flow([bucket], sent.append, lambda hold: None)

        def ended():
            flow.close()
            clock.callLater(0.001, next_exchange)

        flow.feed(bytes(2000))
        flow.end(ended)

    for _ in range(4):
        next_exchange()
    advance(clock, 10)

    assert sum(map(len, sent)) == pytest.approx(1000 * KIB, rel=0.05)
    assert bucket.users <= 4


def test_what_is_fed_while_there_are_tokens_goes_on_at_once(clock, pacemaker):
    sent = []
    flow = Flow([Bucket(MIB, None, pacemaker)], sent.append, lambda hold: None)
    flow.feed(b"one")
    flow.feed(b"two")

    assert sent == [b"one", b"two"]
    assert not clock.getDelayedCalls()


def test_a_burst_goes_at_once_after_a_rest(clock, pacemaker):
    source = Source(clock, [Bucket(10 * KIB, 200 * KIB, pacemaker)])
    source.start()
    assert source.delivered == 200 * KIB
    advance(clock, 10)
    assert source.delivered == pytest.approx(300 * KIB, rel=0.01)


def test_the_source_is_held_while_more_waits_than_is_kept(clock, pacemaker):
    source = Source(clock, [Bucket(32 * KIB, None, pacemaker)])
    source.start()
    advance(clock, 5)

    assert source.most_kept <= 256 * KIB + 64 * KIB
    assert source.delivered == pytest.approx(160 * KIB, rel=0.05)


def test_a_flow_whose_taker_is_slow_leaves_its_tokens_to_the_others(clock, pacemaker):
    bucket = Bucket(MIB, None, pacemaker)
    blocked, other = (Source(clock, [bucket]) for _ in range(2))
    blocked.start()
    other.start()
    advance(clock, 1)
    before = blocked.delivered
    blocked.flow.block(True)
    advance(clock, 5)

    assert blocked.delivered == before
    assert other.delivered == pytest.approx(5.5 * MIB, rel=0.1)

    blocked.flow.block(False)
    advance(clock, 4)
    assert blocked.delivered - before == pytest.approx(2 * MIB, rel=0.1)


def test_the_end_comes_behind_all_that_was_fed(clock, pacemaker):
    events = []
    flow = Flow([Bucket(10 * KIB, None, pacemaker)], events.append, lambda hold: None)
    flow.feed(b"x" * 10 * KIB)
    flow.end(lambda: events.append("end"))
    assert "end" not in events
    advance(clock, 2)

    assert events.pop() == "end"
    assert b"".join(events) == b"x" * 10 * KIB


def test_a_flow_that_is_closed_leaves_the_queue_and_the_bucket_rests(clock, pacemaker):
    bucket = Bucket(10 * KIB, None, pacemaker)
    sent = []
    flow = Flow([bucket], sent.append, lambda hold: None)
    flow.feed(bytes(50 * KIB))
    before = len(sent)
    assert flow.is_waiting
    flow.close()
    flow.feed(b"more")
    advance(clock, 1)

    assert len(sent) == before
    assert bucket.is_at_rest(clock.seconds())
    assert not clock.getDelayedCalls()


def test_what_is_kept_can_be_delivered_whatever_the_bucket_says(clock, pacemaker):
    sent = []
    flow = Flow([Bucket(KIB, None, pacemaker)], sent.append, lambda hold: None)
    flow.feed(b"ab" * 10 * KIB)
    flow.drain()

    assert b"".join(sent) == b"ab" * 10 * KIB


def test_a_flow_that_fails_does_not_harm_those_behind_it(clock, pacemaker):
    from twisted.logger import globalLogPublisher

    logged = []
    globalLogPublisher.addObserver(logged.append)
    bucket = Bucket(100 * KIB, None, pacemaker)

    def fail(data):
        if clock.seconds():
            raise RuntimeError("the taker fails")

    bad = Flow([bucket], fail, lambda hold: None)
    good = Source(clock, [bucket])
    bad.feed(bytes(100 * KIB))
    good.start()
    try:
        advance(clock, 10)
    finally:
        globalLogPublisher.removeObserver(logged.append)

    assert good.delivered == pytest.approx(980 * KIB, rel=0.05)
    assert any("a paced flow failed" in str(event.get("log_format")) for event in logged)


@settings(max_examples=60)
@given(
    rates=st.lists(st.integers(1, 10 * MIB), min_size=1, max_size=3),
    burst=st.none() | st.integers(0, MIB),
    pieces=st.lists(
        st.tuples(st.integers(0, 2), st.integers(1, 300_000), st.floats(0, 0.5)), max_size=30
    ),
)
def test_no_bucket_ever_lets_more_through_than_its_rate_and_burst(rates, burst, pieces):
    """And nothing is lost, doubled or put out of order on the way."""
    clock = Clock()
    pacemaker = Pacemaker(clock, clock.seconds)
    buckets = [Bucket(rate, burst, pacemaker) for rate in rates]
    room = [max(rate * 0.2 if burst is None else burst, 2 * BEAT * rate, 1) for rate in rates]
    fed, sent = [bytearray() for _ in range(3)], [bytearray() for _ in range(3)]
    flows = [Flow(buckets, sent[n].extend, lambda hold: None) for n in range(3)]

    def check():
        total = sum(map(len, sent))
        for rate, most in zip(rates, room, strict=True):
            assert total <= most + rate * clock.seconds() + 1e-3 * rate + 1
        for bucket in buckets:
            assert bucket.tokens >= -1e-6

    for number, (which, size, pause) in enumerate(pieces):
        piece = bytes([number % 256]) * size
        fed[which] += piece
        flows[which].feed(piece)
        check()
        clock.advance(pause)
        check()
    for n in range(3):
        assert fed[n].startswith(sent[n])
        assert flows[n].kept == len(fed[n]) - len(sent[n])


@settings(max_examples=40)
@given(
    rate=st.integers(20, 20 * MIB),
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=6),
)
def test_whoever_waits_is_served_in_the_end(rate, counts):
    clock = Clock()
    pacemaker = Pacemaker(clock, clock.seconds)
    total = Bucket(rate, None, pacemaker)
    sent = []
    flows = []
    for count in counts:
        own = Bucket(max(20, rate // 2), None, pacemaker)
        for _ in range(count):
            flow = Flow([own, total], lambda data: sent.append(len(data)), lambda hold: None)
            flow.feed(bytes(rate))
            flows.append(flow)
    clock.pump([BEAT] * round(3 * len(flows) / BEAT))

    assert sum(sent) == rate * len(flows)
    assert not any(flow.kept for flow in flows)
