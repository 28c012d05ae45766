"""Quotas: what counts, when it is used up, when it begins again, and what is in the file."""

from __future__ import annotations

import sqlite3
import stat
import time
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from proxykit.errors import ConfigurationError
from proxykit.filters.quota import QuotaFactory
from proxykit.filters.quota.filter import QuotaFilter
from proxykit.filters.quota.ledger import Ledger
from proxykit.filters.quota.options import QuotaOptions
from proxykit.filters.quota.periods import span_of
from proxykit.filters.quota.store import Change, Store, Used
from proxykit.options import BuildContext
from tests.filters.exchanges import exchange
from tests.threads import ThreadsClock

NOON = datetime(2025, 6, 10, 12, 0, 0).timestamp()


class Reactor(ThreadsClock):
    """A clock with threads, and a wall clock."""

    def __init__(self, now=NOON):
        super().__init__()
        self.began = now

    def now(self):
        return self.began + self.seconds()


class Proxy:
    """A filter with its ledger, and exchanges that pass it."""

    def __init__(self, path, reactor=None, most=1000, **options):
        self.reactor = reactor or Reactor()
        self.ledger = Ledger(Store(path), self.reactor, self.reactor.now, most)
        self.filter = QuotaFilter(QuotaOptions.model_validate(options).all_quotas(), self.ledger)
        self.filter.start()

    def begin(self, subject=None):
        """Begin an exchange; give its meter and the errors that it was cut with."""
        subject = subject or exchange()
        cut = []
        meter = self.filter.pace(subject).meter
        meter.begin(cut.append)
        return meter, cut

    def pass_bytes(self, sent=0, received=0, subject=None):
        """Run an exchange from its begin to its end; give its refusal, if it is refused."""
        subject = subject or exchange()
        answer = self.filter.request(subject)
        if answer is not None:
            return answer
        meter, _ = self.begin(subject)
        error = (meter.sent(sent) if sent else None) or (
            meter.received(received) if received else None
        )
        meter.ended()
        return error

    def status(self, **more):
        answer = self.filter.request(more.get("subject") or exchange())
        return None if answer is None else answer.status


@pytest.fixture
def path(tmp_path):
    return tmp_path / "quota.sqlite"


def user(name, *groups):
    subject = exchange()
    subject.user = name
    subject.groups = frozenset(groups)
    return subject


# --- volume -----------------------------------------------------------------------------------


def test_a_volume_is_used_up_by_both_directions_and_the_answer_says_until_when(path):
    proxy = Proxy(path, volume="1KiB")
    assert proxy.pass_bytes(sent=600, received=300) is None
    assert proxy.status() is None
    assert proxy.pass_bytes(sent=124) is None

    answer = proxy.filter.request(exchange())
    assert answer.status == 429
    assert answer.headers.get(b"retry-after") == b"%d" % (12 * 3600)
    assert b"the volume that is allowed in a day is used up" in answer.body


@pytest.mark.parametrize(
    ("direction", "sent", "received", "status"),
    [
        ("download", 1000, 0, 429),
        ("download", 999, 5000, None),
        ("upload", 0, 1000, 429),
        ("upload", 5000, 999, None),
        ("both", 500, 500, 429),
    ],
)
def test_a_quota_may_be_for_one_direction(path, direction, sent, received, status):
    proxy = Proxy(path, volume=1000, direction=direction)
    proxy.pass_bytes(sent, received)

    assert proxy.status() == status


def test_what_runs_is_cut_when_the_volume_is_used_up(path):
    proxy = Proxy(path, volume=1000)
    meter, cut = proxy.begin()
    assert meter.sent(700) is None
    assert meter.sent(700) is None  # a piece that has begun passes whole
    error = meter.sent(1)

    assert error.status == 429
    assert error.retry_after_seconds == pytest.approx(12 * 3600)
    assert cut == []
    other, _ = proxy.begin()
    assert other.received(1) is not None


def test_what_runs_and_sends_nothing_is_cut_at_the_next_look(path):
    proxy = Proxy(path, volume=1000)
    _, cut = proxy.begin()
    meter, _ = proxy.begin()
    meter.sent(1000)
    proxy.reactor.advance(2)

    assert [error.status for error in cut] == [429]


def test_clients_users_and_groups_have_quotas_of_their_own(path):
    proxy = Proxy(path, volume=1000, key="user")
    proxy.pass_bytes(1000, subject=user("ada"))
    assert proxy.status(subject=user("ada")) == 429
    assert proxy.status(subject=user("bob")) is None
    proxy.pass_bytes(1000)  # nobody: counted as a client
    assert proxy.status() == 429
    assert proxy.status(subject=exchange(client="192.0.2.2")) is None

    proxy = Proxy(path, volume=1000, key="group")
    proxy.pass_bytes(1000, subject=user("ada", "pupils", "choir"))
    assert proxy.status(subject=user("bob", "choir")) == 429
    assert proxy.status(subject=user("bob", "staff")) is None
    assert proxy.filter.pace(user("ada")) is None


def test_addresses_of_one_ipv6_network_are_one_client(path):
    proxy = Proxy(path, volume=1000)
    proxy.pass_bytes(1000, subject=exchange(client="2001:db8::1"))

    assert proxy.status(subject=exchange(client="2001:db8::2:3")) == 429
    assert proxy.status(subject=exchange(client="2001:db8:0:1::1")) is None


def test_several_quotas_hold_and_each_byte_counts_once(path):
    proxy = Proxy(
        path,
        limits=[
            {"volume": 1000},
            {"volume": 1500, "direction": "download"},
            {"volume": 1500, "period": "month"},
        ],
    )
    proxy.pass_bytes(900)
    assert proxy.status() is None
    proxy.pass_bytes(100)
    assert proxy.status() == 429
    proxy.reactor.advance(86400)
    assert proxy.status() is None
    proxy.pass_bytes(500)
    assert b"in a month" in proxy.filter.request(exchange()).body


# --- time -------------------------------------------------------------------------------------


def test_minutes_count_in_which_something_is_under_way_once_each(path):
    proxy = Proxy(path, time="3m")
    first, _ = proxy.begin()
    second, _ = proxy.begin()
    proxy.reactor.pump([1] * 30)
    first.ended()
    second.ended()
    proxy.begin()[0].ended()  # in the same minute
    assert proxy.ledger.account("client", "192.0.2.1", "day").minutes == 1
    proxy.reactor.pump([1] * 600)
    proxy.begin()[0].ended()
    assert proxy.ledger.account("client", "192.0.2.1", "day").minutes == 2
    assert proxy.status() is None


def test_the_last_minute_may_be_used_to_its_end_and_what_runs_on_is_cut(path):
    proxy = Proxy(path, time="2m")
    _, cut = proxy.begin()
    proxy.reactor.pump([1] * 118)
    assert cut == []
    assert proxy.status() is None
    proxy.reactor.pump([1] * 5)

    assert [error.status for error in cut] == [429]
    assert b"the time that is allowed in a day" in proxy.filter.request(exchange()).body


# --- days and months --------------------------------------------------------------------------


def test_a_new_day_begins_with_nothing_used_also_for_what_runs(path):
    proxy = Proxy(path, volume=1000)
    meter, _ = proxy.begin()
    meter.sent(1000)
    idle = exchange(client="192.0.2.9")
    proxy.pass_bytes(1000, subject=idle)
    assert proxy.status() == 429
    proxy.reactor.advance(12 * 3600)

    assert proxy.status() is None
    assert meter.sent(400) is None
    assert proxy.status(subject=idle) is None
    assert proxy.ledger.account("client", "192.0.2.1", "day").sent == 400


@pytest.mark.parametrize(
    ("period", "moment", "name", "ends"),
    [
        ("day", datetime(2025, 6, 10, 0, 0), "2025-06-10", datetime(2025, 6, 11)),
        ("day", datetime(2025, 12, 31, 23, 59, 59), "2025-12-31", datetime(2026, 1, 1)),
        ("month", datetime(2024, 2, 29, 12), "2024-02", datetime(2024, 3, 1)),
        ("month", datetime(2025, 12, 1), "2025-12", datetime(2026, 1, 1)),
    ],
)
def test_days_and_months_begin_at_local_midnight(period, moment, name, ends):
    span = span_of(period, moment.timestamp())

    assert (span.name, span.ends) == (name, ends.timestamp())


@pytest.mark.parametrize("zone", ["Europe/Vienna", "America/St_Johns", "UTC", "Asia/Kathmandu"])
@settings(max_examples=50)
@given(now=st.floats(1.6e9, 2.0e9))
def test_every_moment_lies_in_its_day_and_the_next_follows_at_once(zone, now):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        try:
            for period, longest in (("day", 25), ("month", 31 * 24 + 1)):
                span = span_of(period, now)
                assert 0 < span.ends - now <= longest * 3600
                assert span_of(period, span.ends - 0.5).name == span.name
                assert span_of(period, span.ends).name > span.name
        finally:
            patch.undo()
            time.tzset()


# --- the file ---------------------------------------------------------------------------------


def test_a_restart_loses_nothing(path):
    before = Proxy(path, volume=1000, time="10m")
    before.pass_bytes(600, 300)
    before.filter.stop()
    after = Proxy(path, volume=1000)
    account = after.ledger.account("client", "192.0.2.1", "day")
    assert (account.sent, account.received, account.minutes) == (600, 300, 1)
    after.pass_bytes(100)

    assert after.status() == 429
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_who_is_killed_loses_two_seconds(path):
    before = Proxy(path, volume=1000)
    before.pass_bytes(700)
    before.reactor.pump([1, 1, 0.1])
    before.pass_bytes(100)
    # It is not stopped.
    after = Proxy(path, volume=1000)

    assert after.ledger.account("client", "192.0.2.1", "day").sent == 700


def test_two_processes_count_together(path):
    one, two = Proxy(path, volume=1000), Proxy(path, volume=1000)
    one.pass_bytes(600)
    two.pass_bytes(600)
    for _ in range(2):
        for proxy in (one, two):
            proxy.pass_bytes(1)
            proxy.reactor.pump([2, 0.1])

    assert one.status() == 429
    assert two.status() == 429
    assert two.ledger.account("client", "192.0.2.1", "day").minutes == 1


def test_usage_of_days_that_are_over_is_forgotten(path):
    proxy = Proxy(path, volume=1000)
    proxy.pass_bytes(700)
    proxy.reactor.pump([2, 0.1])
    proxy.reactor.advance(86400)
    proxy.pass_bytes(1)
    proxy.reactor.pump([2, 0.1])
    proxy.filter.stop()

    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT span, sent FROM usage").fetchall()
    database.close()
    assert rows == [("2025-06-11", 1)]


def test_a_reload_shares_the_ledger_and_the_last_to_stop_writes(path):
    proxy = Proxy(path, volume=1000)
    other = QuotaFilter(QuotaOptions(volume=5000).all_quotas(), proxy.ledger)
    other.start()
    proxy.pass_bytes(700)
    proxy.filter.stop()
    assert proxy.ledger.account("client", "192.0.2.1", "day").sent == 700
    other.stop()

    assert Store(path).load(["2025-06-10"], 10)[("2025-06-10", "client", "192.0.2.1")].sent == 700


def test_without_its_file_it_counts_in_memory_says_so_once_and_tries_again(tmp_path):
    logged = []
    globalLogPublisher.addObserver(logged.append)
    path = tmp_path / "gone" / "quota.sqlite"
    try:
        proxy = Proxy(path, volume=1000)
        proxy.pass_bytes(600)
        proxy.reactor.pump([2, 0.1] * 3)
        path.parent.mkdir()
        proxy.pass_bytes(400)
        proxy.reactor.pump([2, 0.1] * 2)
    finally:
        globalLogPublisher.removeObserver(logged.append)
    complaints = [event for event in logged if "cannot be used" in str(event.get("log_format"))]

    assert len(complaints) == 1
    assert proxy.status() == 429
    assert Proxy(path, volume=1000).status() == 429


def test_what_cannot_be_written_takes_no_more_room_than_its_accounts(tmp_path):
    path = tmp_path / "gone" / "quota.sqlite"
    proxy = Proxy(path, limits=[{"volume": 10**9}, {"period": "month", "time": "10h"}])
    for _ in range(50):
        proxy.pass_bytes(10)
        proxy.reactor.pump([2, 0.1])
    waiting = len(proxy.ledger._unwritten)
    path.parent.mkdir()
    proxy.reactor.pump([2, 0.1] * 2)
    proxy.filter.stop()

    assert waiting == 2
    used = Store(path).load(["2025-06-10", "2025-06"], 1000)
    # 105 s, which touch two minutes or three.
    assert {each.sent for each in used.values()} == {500}
    assert {each.minutes for each in used.values()} == {2}


def test_what_cannot_be_written_is_forgotten_with_its_day(tmp_path):
    proxy = Proxy(tmp_path / "gone" / "quota.sqlite", volume=10**9)
    proxy.pass_bytes(10)
    proxy.reactor.pump([2, 0.1])
    proxy.reactor.began += 24 * 3600
    proxy.reactor.pump([2, 0.1] * 2)

    assert not proxy.ledger._unwritten


def test_a_file_that_is_something_else_is_left_alone(path):
    path.write_text("This is no database, and worth something to somebody. " * 20)
    before = path.read_bytes()
    proxy = Proxy(path, volume=1000)
    proxy.pass_bytes(1000)
    proxy.reactor.pump([2, 0.1] * 2)
    proxy.filter.stop()

    assert proxy.status() == 429
    assert path.read_bytes() == before


def test_a_flood_of_keys_pushes_out_what_it_made_up(path):
    proxy = Proxy(path, most=20, volume=1000)
    proxy.pass_bytes(1000, subject=exchange(client="192.0.2.50"))
    for number in range(200):
        proxy.pass_bytes(1, subject=exchange(client=f"198.51.100.{number}"))
        if number % 10 == 0:
            proxy.reactor.pump([2, 0.1])

    assert proxy.status(subject=exchange(client="192.0.2.50")) == 429
    assert len(proxy.ledger._accounts) <= 20
    proxy.filter.stop()
    assert len(Store(path).load(["2025-06-10"], 1000)) == 201  # of those pushed out too


def test_a_minute_counts_once_whoever_reports_it(path):
    store = Store(path)
    key = ("2025-06", "client", "a")
    store.add([Change(key, 1, 2, (5, 6))], ["2025-06"])
    totals = store.add([Change(key, 1, 2, (6, 7))], ["2025-06"])

    assert totals == {key: Used(2, 4, 3, 7)}


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limits": [{}]},
        {"key": "user", "limits": [{"volume": 1}]},
        {"volume": "much"},
        {"volume": 1, "period": "week"},
        {"time": "2x"},
    ],
)
def test_a_quota_that_makes_no_sense_is_refused(options):
    with pytest.raises(ValidationError):
        QuotaOptions.model_validate(options)


def test_a_file_in_a_folder_that_is_not_there_is_refused(tmp_path):
    context = BuildContext(tmp_path, Clock(), None)
    QuotaFactory().build(QuotaOptions(volume=1), context)
    assert list(tmp_path.iterdir()) == []  # to build is not to touch anything

    with pytest.raises(ConfigurationError, match="there is no folder"):
        QuotaFactory().build(QuotaOptions(volume=1, file="no/such/quota.sqlite"), context)
