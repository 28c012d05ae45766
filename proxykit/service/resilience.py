"""Compiles what a pool does about servers that fail: checks, detection, retries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from ..balancing.breaker import BreakerSettings
from ..balancing.health import HealthSettings
from ..balancing.outliers import OutlierSettings
from ..balancing.probes import Check, HttpQuestion, http_check, tcp_check, tls_check
from ..balancing.sources import FoundServer
from ..config.pool import Pool as PoolModel
from ..config.resilience import HealthChecks, parse_body_match
from ..reverse.pool import PoolSettings
from ..upstream.connector import Connector
from ..upstream.retries import Hedge, LatencyQuantile, RetryBudget, RetryPolicy

MakeConnector = Callable[[FoundServer, "int | None", "bool | None"], Connector]


def pool_settings(model: PoolModel, make_connector: MakeConnector) -> PoolSettings:
    """Say how a pool finds out which of its servers are usable.

    :param make_connector: makes the way to a server out of it, a port and whether to speak TLS.
    """
    health, outlier, breaker = model.health, model.outlier, model.breaker
    return PoolSettings(
        health=_health(health) if health is not None else None,
        make_check=_make_check(health, model, make_connector) if health is not None else None,
        outliers=OutlierSettings(
            errors=outlier.errors,
            error_share=outlier.error_share,
            latency_factor=outlier.latency_factor,
            fewest=outlier.fewest,
            interval=outlier.interval,
            eject_seconds=outlier.eject_for,
            most_ejected=outlier.most_ejected,
        )
        if outlier is not None
        else None,
        breaker=BreakerSettings(
            failures=breaker.failures,
            failure_share=breaker.failure_share,
            fewest=breaker.fewest,
            window=breaker.window,
            open_seconds=breaker.open_for,
            trials=breaker.trials,
            successes=breaker.successes,
        )
        if breaker is not None
        else None,
        try_all=model.when_unusable == "try-all",
    )


def retry_policy(
    model: PoolModel, requests: Callable[[], int], now: Callable[[], float], clock: Any
) -> RetryPolicy:
    """Say what is done about a server that fails an exchange.

    :param requests: gives how many requests the pool has had.
    :param now: the clock of ``time.monotonic``.
    :param clock: an ``IReactorTime``.
    """
    retry, deadline = model.retry, model.deadline
    return RetryPolicy(
        retries=model.retries,
        statuses=frozenset(retry.statuses),
        failures=frozenset(model.failure_statuses),
        body_buffer=model.body_buffer,
        attempt_seconds=model.attempt_timeout,
        deadline_seconds=deadline.timeout if deadline is not None else None,
        deadline_field=deadline.header.encode("ascii") if deadline and deadline.header else b"",
        hedge=_hedge(model.hedge.after) if model.hedge is not None else None,
        budget=RetryBudget(retry.budget, retry.budget_floor, requests, now),
        clock=clock,
    )


def _hedge(after: float | str) -> Hedge:
    if isinstance(after, str):
        return Hedge(quantile=LatencyQuantile(int(after[1:]) / 100))
    return Hedge(after)


def _health(model: HealthChecks) -> HealthSettings:
    fast = model.fast_interval
    return HealthSettings(
        interval=model.interval,
        fast_interval=fast if fast is not None else max(0.05, model.interval / 4),
        jitter=model.jitter,
        timeout=model.timeout,
        rise=model.rise,
        fall=model.fall,
    )


def _make_check(
    model: HealthChecks, pool: PoolModel, make_connector: MakeConnector
) -> Callable[[FoundServer], Check]:
    content = parse_body_match(model.body) if model.body is not None else None

    def make(found: FoundServer) -> Check:
        if model.type == "tcp":
            return tcp_check(make_connector(found, model.port, False))
        if model.type == "tls":
            return tls_check(make_connector(found, model.port, True))
        host = model.host or found.server_name or urlsplit(found.url).netloc or "localhost"
        if model.host is None and pool.host not in ("keep", "server"):
            host = pool.host
        question = HttpQuestion.of(model.method, model.path, host, tuple(model.status), content)
        return http_check(make_connector(found, model.port, None), question)

    return make
