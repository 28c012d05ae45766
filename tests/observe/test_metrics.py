"""What is counted of exchanges, and how Prometheus reads it."""

from __future__ import annotations

import attrs
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxykit.observe.admin.control import (
    CacheStatus,
    ListenerStatus,
    PoolStatus,
    Reloads,
    ServerStatus,
    Status,
)
from proxykit.observe.exposition import Scrape, exposition
from proxykit.observe.metrics import BOUNDS, Metrics
from tests.observe.records import RECORD

STATUS = Status("1.2", 7, 0.0, 60.0, 1, Reloads(3, 1), [])
SERVER = ServerStatus("a:1", "http://a:1", 2, 1.5, False, 4, 0.25, 0, True, False, "up", None, [])
CACHE = CacheStatus("main", ["reverse.a"], 5, 1000, 9000, 0, 6, 1, {"hit": 8, "miss": 2})


def samples(metrics, scrape, accept=""):
    content, _ = exposition(metrics, scrape, accept)
    families = text_string_to_metric_families(content.decode("utf-8"))
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def counted(*records):
    metrics = Metrics()
    for record in records:
        metrics.finished(record)
    return samples(metrics, Scrape(STATUS, [], []))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, "none"),
        (101, "1xx"),
        (200, "2xx"),
        (304, "3xx"),
        (404, "4xx"),
        (502, "5xx"),
        (999, "5xx"),
    ],
)
def test_exchanges_are_counted_by_the_class_of_their_status(status, expected):
    found = counted(attrs.evolve(RECORD, status=status))

    of = {
        dict(key[1:])["status"]: value
        for key, value in found.items()
        if key[0] == "proxykit_exchanges_total"
    }
    assert of.pop(expected) == 1
    assert set(of.values()) == {0}


def test_bytes_are_summed_and_errors_told_apart():
    found = counted(
        attrs.evolve(RECORD, received_bytes=5),
        attrs.evolve(RECORD, error_type="connection_timeout"),
        attrs.evolve(RECORD, listener="forward.b"),
    )

    a, b = ("listener", "reverse.a"), ("listener", "forward.b")
    assert found["proxykit_received_bytes_total", a] == 5
    assert found["proxykit_sent_bytes_total", a] == 14
    assert found["proxykit_sent_bytes_total", b] == 7
    assert found["proxykit_errors_total", ("error", "connection_timeout"), a] == 1


def test_a_duration_is_in_its_bucket_and_in_all_that_are_wider():
    found = counted(
        attrs.evolve(RECORD, duration_seconds=0.05),
        attrs.evolve(RECORD, duration_seconds=0.0501),
        attrs.evolve(RECORD, duration_seconds=1000.0),
    )
    listener = ("listener", "reverse.a")
    name = "proxykit_exchange_duration_seconds"
    buckets = {
        float(dict(key[1:])["le"]): value
        for key, value in found.items()
        if key[0] == f"{name}_bucket"
    }

    assert buckets == {
        bound: 0 if bound < 0.05 else 1 if bound == 0.05 else 2 if bound <= 60 else 3
        for bound in (*BOUNDS, float("inf"))
    }
    assert found[f"{name}_count", listener] == 3
    assert found[f"{name}_sum", listener] == pytest.approx(1000.1001)


def test_a_tunnel_is_no_duration():
    found = counted(attrs.evolve(RECORD, tunnel=True, duration_seconds=3000.0))

    assert found["proxykit_exchange_duration_seconds_count", ("listener", "reverse.a")] == 0
    assert found["proxykit_tunnels_total", ("listener", "reverse.a")] == 1


def test_what_is_is_there_beside_what_was_counted():
    listener = ListenerStatus("reverse.a", 'tcp:1"\n', "http", 3, 2, 10, 1)
    down = attrs.evolve(SERVER, name="b:1", usable=False, latency=None, faults=["down"])
    status = attrs.evolve(STATUS, listeners=[listener])
    unknown = attrs.evolve(CACHE, name="other", entries=None, bytes=None, results={})
    scrape = Scrape(status, [PoolStatus("app", 11, [SERVER, down])], [CACHE, unknown])

    found = samples(Metrics(), scrape)

    place = (("endpoint", 'tcp:1"\n'), ("listener", "reverse.a"))
    assert found["proxykit_connections", *place] == 3
    assert found["proxykit_exchanges_in_flight", *place] == 2
    assert found["proxykit_connections_refused_total", *place] == 1
    one, two = (("pool", "app"), ("server", "a:1")), (("pool", "app"), ("server", "b:1"))
    assert found["proxykit_server_up", *one] == 1
    assert found["proxykit_server_up", *two] == 0
    assert found["proxykit_server_latency_seconds", *one] == 0.25
    assert ("proxykit_server_latency_seconds", *two) not in found
    assert found["proxykit_cache_results_total", ("cache", "main"), ("result", "hit")] == 8
    assert found["proxykit_cache_bytes", ("cache", "main")] == 1000
    assert ("proxykit_cache_bytes", ("cache", "other")) not in found
    assert found["proxykit_reloads_total", ("result", "failed")] == 1


def test_openmetrics_is_written_for_who_asks_for_it():
    accept = "application/openmetrics-text; version=1.0.0"

    content, media_type = exposition(Metrics(), Scrape(STATUS, [], []), accept)

    assert media_type.startswith("application/openmetrics-text")
    assert content.endswith(b"# EOF\n")
