"""The service: configuration files, reload, logs, signals, and the demonstration itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sdnotify import SystemdNotifier
from twisted.internet.task import Clock

from demo.proxies import Proxy, free_port
from proxykit.config.load import parse
from proxykit.service.proxy import ProxyService
from tests.scripted import ScriptedOrigin, exchange, read_until, reply
from tests.waiting import wait_for_text

ROOT = Path(__file__).parents[2]
CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def answering(body):
    return reply(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


def configuration(port, origin, extra=""):
    return f"""
[log]
access = "access.log"
format = "{{method}} {{target}} {{status}}"
[pool.app]
servers = ["{origin.url}"]
[reverse.site]
listen = ["127.0.0.1:{port}"]
[[reverse.site.routes]]
pool = "app"
{extra}
"""


@pytest.fixture
def serving(tmp_path):
    """A proxy that serves a configuration file, and that file."""
    port = free_port()
    with (
        ScriptedOrigin(answering(b"one")) as one,
        ScriptedOrigin(answering(b"two")) as two,
        Proxy.serving(tmp_path, configuration(port, one), port) as proxy,
    ):
        yield proxy, proxy.file, one, two


def test_a_reload_changes_routes_and_closes_no_connection(serving):
    proxy, file, _, two = serving
    with socket.create_connection(proxy.address, timeout=5) as client:
        client.sendall(GET)
        assert read_until(client, b"one").endswith(b"one")
        file.write_text(configuration(proxy.port, two))
        proxy.process.send_signal(signal.SIGHUP)
        wait_for_text(proxy.output, "the configuration was reloaded")
        client.sendall(GET)
        assert read_until(client, b"two").endswith(b"two")


def test_a_bad_configuration_changes_nothing_and_all_its_errors_are_logged(serving):
    proxy, file, one, _ = serving
    file.write_text(configuration(proxy.port, one, 'pol = "app"\n[pool.b]\nservers = []\n'))

    proxy.process.send_signal(signal.SIGHUP)

    wait_for_text(proxy.output, "the configuration is not reloaded")
    log = proxy.output.read_text()
    assert "reverse.site.routes[0].pol" in log
    assert "did you mean 'pool'" in log
    assert "pool.b.servers" in log
    assert exchange(proxy.address, CLOSE).endswith(b"one")


def test_sigusr1_reopens_the_access_log(serving, tmp_path):
    proxy, _, _, _ = serving
    log = tmp_path / "access.log"
    exchange(proxy.address, CLOSE)
    wait_for_text(log, "GET / 200")
    log.rename(tmp_path / "access.log.1")

    proxy.process.send_signal(signal.SIGUSR1)

    wait_for_text(proxy.output, "the access log was reopened")
    exchange(proxy.address, CLOSE)
    wait_for_text(log, "GET / 200")


def test_sigterm_lets_what_is_in_flight_finish(tmp_path):
    asked, go_on = threading.Event(), threading.Event()

    def slow(connection, head):
        asked.set()
        go_on.wait(5)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")

    with (
        ScriptedOrigin(slow) as origin,
        Proxy(tmp_path, "reverse", "--backend", origin.url) as proxy,
    ):
        with socket.create_connection(proxy.address, timeout=5) as client:
            client.sendall(GET)
            assert asked.wait(5)
            proxy.process.send_signal(signal.SIGTERM)
            wait_for_text(proxy.output, "stopping")
            with pytest.raises(OSError, match="refused"):
                socket.create_connection(proxy.address, timeout=1)
            go_on.set()
            answer = read_until(client, b"done")
        assert answer.endswith(b"done")
        assert b"Connection: close\r\n" in answer
        # Twisted ends itself with the signal that asked it to, so that its parent can tell.
        assert proxy.process.wait(5) in (0, -signal.SIGTERM)


def test_a_socket_that_systemd_opened_is_served_and_systemd_is_told(tmp_path, origins):
    """Socket activation: the descriptor is 3, and LISTEN_PID is ours (sd_listen_fds(3))."""
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.settimeout(10)
    notified.bind(str(tmp_path / "notify"))
    listening = socket.create_server(("127.0.0.1", 0))
    start = (
        "import os, sys; os.dup2(int(sys.argv[1]), 3);"
        "os.environ['LISTEN_PID'] = str(os.getpid());"
        "os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
    )
    run = "from twisted.scripts.twistd import run; run()"
    options = ["--listen", "systemd:domain=INET:index=0", "--backend", origins.url]
    environment = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "proxykit", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", start, str(listening.fileno()),
         "-c", run, "-n", "--pidfile=", "proxykit", "reverse", *options],
        pass_fds=[listening.fileno()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, **environment, "NOTIFY_SOCKET": str(tmp_path / "notify")}, cwd=tmp_path,
    )  # fmt: skip
    try:
        assert notified.recv(100) == b"READY=1"
        assert exchange(listening.getsockname(), CLOSE).startswith(b"HTTP/1.1 200 ")
        process.terminate()
        assert notified.recv(100) == b"STOPPING=1"
    finally:
        process.terminate()
        process.wait(10)
        listening.close()
        notified.close()


def test_an_address_that_is_taken_ends_the_start_with_an_error(tmp_path, origins):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        proxy = Proxy(
            tmp_path, "reverse", "--backend", origins.url, port=taken.getsockname()[1]
        ).begin()

        assert proxy.process.wait(10) == 1
        assert "cannot listen on tcp:" in proxy.output.read_text()
        assert "Traceback" not in proxy.output.read_text()


def test_tls_is_terminated_with_one_certificate(tmp_path, origins, certificate):
    options = ["--certificate", str(certificate.certificate), "--key", str(certificate.key)]
    with Proxy(tmp_path, "reverse", "--backend", origins.url, *options) as proxy:
        context = certificate.client_context()
        plain = socket.create_connection(proxy.address, timeout=5)
        with context.wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(CLOSE)
            assert read_until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("trusted", [True, False])
def test_an_https_backend_is_verified(tmp_path, origins, certificate, trusted):
    port = free_port()
    tls = f'[pool.app.tls]\nca = "{certificate.authority}"\n' if trusted else ""
    backend = f'[pool.app]\nservers = ["{origins.https_url}"]\n' + tls
    listener = f'[reverse.a]\nlisten = ["127.0.0.1:{port}"]\n[[reverse.a.routes]]\npool = "app"\n'
    with Proxy.serving(tmp_path, backend + listener, port) as proxy:
        answer = exchange(proxy.address, CLOSE)

    assert answer.startswith(b"HTTP/1.1 200 " if trusted else b"HTTP/1.1 502 ")
    assert trusted or b"tls_certificate_error" in answer


@pytest.mark.slow
@pytest.mark.timeout(90)
def test_the_demonstration_succeeds():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    finished = subprocess.run(
        [sys.executable, "-m", "demo"], cwd=ROOT, env=environment, capture_output=True, text=True,
        timeout=80, check=False,
    )  # fmt: skip

    assert finished.returncode == 0, finished.stdout
    assert "All is right" in finished.stdout


def test_systemd_is_told_that_a_reload_is_over_whatever_was_raised_in_it(tmp_path, monkeypatch):
    def reread():
        raise RuntimeError("a plug-in's fault")

    told = []
    monkeypatch.setattr(SystemdNotifier, "__init__", lambda self: None)
    monkeypatch.setattr(SystemdNotifier, "notify", lambda self, state: told.append(state))
    listener = parse('[forward.a]\nlisten = ":1"', tmp_path, "f.toml")
    service = ProxyService(listener, Clock(), reread)

    with pytest.raises(RuntimeError):
        service.reload()

    assert told == ["RELOADING=1", "READY=1"]


def test_a_start_that_cannot_be_is_told_in_lines_and_not_by_a_traceback(tmp_path):
    file = tmp_path / "proxykit.toml"
    file.write_text(
        '[forward.a]\nlisten = ["127.0.0.1:0"]\n[[forward.a.filters]]\nuse = "auth"\nusers = "no"\n'
    )
    twistd = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]

    done = subprocess.run(
        [*twistd, "-n", "--pidfile=", "proxykit", "serve", "--config", str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr == (
        f"proxykit: {file}:3: forward.a.filters[0]: "
        f"{tmp_path / 'no'} cannot be read: No such file or directory\n"
    )


def run_command(*arguments):
    """Run a program of this environment to its end."""
    program = Path(sys.executable).with_name(arguments[0])
    return subprocess.run(
        [program, *arguments[1:]], capture_output=True, text=True, timeout=20, check=False
    )


def test_the_help_says_how_each_mode_is_called_and_where_it_listens():
    said = {
        mode: run_command("twistd", "proxykit", *mode.split(), "--help").stdout
        for mode in ("", "forward", "reverse", "serve")
    }

    begin = "Usage: twistd [options] proxykit"
    assert said[""].startswith(f"{begin} {{forward|reverse|serve}} [options]\n")
    for mode in ("forward", "reverse", "serve"):
        assert said[mode].startswith(f"{begin} {mode} [options]\n")
    assert "Without --listen, clients connect to 127.0.0.1:3128." in said["forward"]
    assert "Without --listen, clients connect to 127.0.0.1:8080." in said["reverse"]


def test_who_reads_only_the_beginning_of_an_output_is_not_told_of_a_traceback():
    proxykit = Path(sys.executable).with_name("proxykit")

    done = subprocess.run(
        ["/bin/sh", "-c", f"'{proxykit}' schema | head -c 10"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.stdout == '{\n  "$defs"'[:10]
    assert not done.stderr


def test_the_log_says_where_it_listens_in_an_operators_words(tmp_path, origins):
    with Proxy(tmp_path, "reverse", "--backend", origins.url) as proxy:
        wait_for_text(proxy.output, f"reverse.main listens on 127.0.0.1:{proxy.port}")


def test_the_logs_level_holds_from_the_start_and_changes_with_a_reload(tmp_path, origins):
    port = free_port()
    file = tmp_path / "proxykit.toml"
    quiet = configuration(port, origins).replace("[log]", '[log]\nlevel = "error"')
    file.write_text(quiet)
    with Proxy(tmp_path, "serve", "--config", str(file), port=port) as proxy:
        file.write_text("[log")
        proxy.process.send_signal(signal.SIGHUP)
        wait_for_text(proxy.output, "the configuration is not reloaded")
        assert "listens on" not in proxy.output.read_text()
        file.write_text(quiet.replace('"error"', '"info"'))
        proxy.process.send_signal(signal.SIGHUP)
        wait_for_text(proxy.output, "the configuration was reloaded")


def test_a_daemon_whose_access_log_goes_nowhere_says_so(tmp_path, origins):
    port = free_port()
    pid = tmp_path / "twistd.pid"
    log = tmp_path / "twistd.log"
    twistd = Path(sys.executable).with_name("twistd")
    options = ["--pidfile", pid, "--logfile", log, "--rundir", tmp_path]
    mode = ["reverse", "--listen", f"127.0.0.1:{port}", "--backend", origins.url]
    subprocess.run([twistd, *options, "proxykit", *mode], timeout=20, check=True)
    try:
        wait_for_text(log, "standard output, which goes nowhere: name a file")
    finally:
        os.kill(int(pid.read_text()), signal.SIGTERM)
    wait_for_text(log, "Server Shut Down")


def test_what_the_end_of_the_grace_cuts_is_not_said_to_be_the_clients_doing(tmp_path):
    asked, go_on = threading.Event(), threading.Event()

    def hung(connection, head):
        asked.set()
        go_on.wait(10)

    port = free_port()
    file = tmp_path / "proxykit.toml"
    with ScriptedOrigin(hung) as origin:
        text = configuration(port, origin, '[process]\ngrace = "200ms"')
        file.write_text(text.replace("{status}", "{detail}"))
        with (
            Proxy(tmp_path, "serve", "--config", str(file), port=port) as proxy,
            socket.create_connection(proxy.address, timeout=5) as client,
        ):
            client.sendall(GET)
            assert asked.wait(5)
            proxy.process.send_signal(signal.SIGTERM)
            proxy.process.wait(5)
        go_on.set()

    lines = (tmp_path / "access.log").read_text()
    assert lines == "GET / the proxy stops, and the grace is over\n"
