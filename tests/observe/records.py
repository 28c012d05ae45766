"""A record of an exchange, of which tests change what they are about."""

from __future__ import annotations

from proxykit.engine.record import ExchangeRecord

RECORD = ExchangeRecord(
    exchange_id="e-1",
    listener="reverse.a",
    client_address="192.0.2.1",
    user="ada",
    method=b"GET",
    target=b"/a?b",
    version=1,
    host="example.com",
    status=200,
    upstream="127.0.0.1:9001",
    route="0",
    started_at=0.0,
    duration_seconds=0.0125,
    upstream_seconds=None,
    received_bytes=0,
    sent_bytes=7,
    referer=b"",
    user_agent=b'curl "8"',
    error_type="",
    detail="",
    tunnel=False,
    reused=True,
)
