"""The log of a running proxy, private if asked, and the report of it."""

from __future__ import annotations

import json

import pytest

from demo.proxies import free_port
from proxykit.command import main
from tests.scripted import ScriptedOrigin, exchange, reply

FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

CONFIGURATION = """
[log]
access = "access.log"
format = "json"
{log}

[forward.office]
listen = ["127.0.0.1:{port}"]
allow_private = true

[[forward.office.filters]]
use = "access"
rules = [{{ action = "deny", name = "no secrets", path = "/secret" }}]
"""


@pytest.fixture
def logged(start, tmp_path):
    """Give the log of a proxy that was asked for some things and stopped."""

    def run(log=""):
        file, port = tmp_path / "proxykit.toml", free_port()
        file.write_text(CONFIGURATION.format(log=log, port=port))
        with ScriptedOrigin(reply(FINE)) as origin:
            proxy = start("serve", "--config", str(file), port=port)
            authority = f"127.0.0.1:{origin.port}"
            for path in ("/?q=flu", "/secret?of=ada", "/"):
                target = f"GET http://{authority}{path} HTTP/1.1\r\nHost: {authority}\r\n"
                exchange(proxy.address, f"{target}Connection: close\r\n\r\n".encode())
            proxy.stop()
        return tmp_path / "access.log"

    return run


def test_a_running_proxys_log_is_reported(logged, capsys):
    path = logged()

    assert main(["report", "--json", str(path)]) == 0

    said = json.loads(capsys.readouterr().out)
    assert said["totals"]["requests"] == 3
    assert said["totals"]["sent_bytes"] > 4
    assert said["malformed"] == 0
    (client,) = said["tables"]["clients"]["rows"]
    assert (client["client"], client["requests"], client["refused"]) == ("127.0.0.1", 3, 1)
    (refusal,) = said["tables"]["refusals"]["rows"]
    assert refusal["status"] == "403"
    assert "no secrets" in refusal["detail"]


def test_a_private_log_does_not_say_who_asked_for_what(logged, capsys):
    path = logged('addresses = "hash"\nqueries = "omit"')

    text = path.read_text()
    assert "flu" not in text
    assert "ada" not in text
    clients = {json.loads(line)["client_address"] for line in text.splitlines()}
    assert len(clients) == 1
    assert clients.isdisjoint({"127.0.0.1", "-", ""})
    assert main(["report", "--client", clients.pop(), "--json", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["requests"] == 3


def test_a_bad_log_is_told_by_check(tmp_path, capsys):
    file = tmp_path / "proxykit.toml"
    log = 'addresses = "hash"\nsecret_file = "nowhere"'
    file.write_text(CONFIGURATION.format(log=log, port=free_port()))

    assert main(["check", str(file)]) == 1

    assert "log.secret_file: nowhere cannot be read" in capsys.readouterr().err
