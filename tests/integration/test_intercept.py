"""Interception, in network namespaces of its own: a client, a router with the proxy, an origin.

    client 10.77.1.2 --- 10.77.1.1 router 10.77.2.1 --- 10.77.2.2, .3 origin
           fd77:1::2      fd77:1::1        fd77:2::1      fd77:2::2

Nothing leaves them, and they are gone with the tests.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import eventually

CHECKOUT = Path(__file__).parents[2]
ORIGIN = Path(__file__).with_name("intercepted_origin.py")
ROUTER, CLIENT, SERVER = (f"proxykit-{os.getpid()}-{each}" for each in "rco")

# By the port that the client connects to.
REDIRECT, REDIRECT_TLS, TPROXY, TPROXY_TLS = 80, 443, 8080, 8443
STRICT, PRIVATE, LOOP, LOOP_TLS = 8081, 8083, 8084, 8444

CONFIGURATION = """
[log]
access = "access.log"
format = "json"

[forward.lan]
listen = "127.0.0.1:3128"
allow_private = true
connect_ports = [443, 8443, 8444]
pac = true
intercept = [
    { listen = "[::]:3129" },
    { listen = "0.0.0.0:3130", mode = "tproxy" },
    { listen = "[::]:3133", mode = "tproxy" },
    { listen = "0.0.0.0:3131", host_check = "strict" },
]

[[forward.lan.filters]]
use = "access"
rules = [{ action = "deny", name = "no", domain = "blocked.test.lan" }]

[forward.strict]
listen = "127.0.0.1:3127"
intercept = [{ listen = "0.0.0.0:3132" }]
"""

RULES = """
table ip nat {
    chain before {
        type nat hook prerouting priority dstnat;
        tcp dport { 80, 443, 8084, 8444 } redirect to :3129
        tcp dport 8081 redirect to :3131
        tcp dport 8083 redirect to :3132
    }
    chain from_here {
        type nat hook output priority -100;
        tcp dport { 8084, 8444 } redirect to :3129
    }
}
table ip6 nat {
    chain before {
        type nat hook prerouting priority dstnat;
        tcp dport { 80, 443 } redirect to :3129
    }
}
table inet transparent {
    chain before {
        type filter hook prerouting priority mangle;
        meta nfproto ipv4 tcp dport { 8080, 8443 } tproxy ip to :3130 meta mark set 1 accept
        meta nfproto ipv6 tcp dport { 8080, 8443 } tproxy ip6 to :3133 meta mark set 1 accept
    }
}
"""

HOSTS = """
127.0.0.1 localhost
10.77.2.2 www.test.lan blocked.test.lan
fd77:2::2 six.test.lan
10.77.2.3 other.test.lan
"""


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=20, **more)


def set_up(*command, **more):
    finished = run(*command, **more)
    assert finished.returncode == 0, f"{command}: {finished.stderr}"


def inside(namespace, *command):
    return ("ip", "netns", "exec", namespace, *command)


@pytest.fixture(scope="module")
def namespaces():
    """Three namespaces and what joins them; skipped only where that is not permitted."""
    if os.geteuid() != 0 or run("ip", "netns", "add", ROUTER).returncode != 0:
        pytest.skip("network namespaces are not permitted here")
    try:
        set_up("ip", "netns", "add", CLIENT)
        set_up("ip", "netns", "add", SERVER)
        for number, other in ((1, CLIENT), (2, SERVER)):
            near, far = f"near{number}", "eth0"
            set_up("ip", "-n", ROUTER, "link", "add", near, "type", "veth", "peer", "name", far,
                   "netns", other)  # fmt: skip
            for namespace, device, last in ((ROUTER, near, 1), (other, far, 2)):
                ip = ("ip", "-n", namespace)
                set_up(*ip, "addr", "add", f"10.77.{number}.{last}/24", "dev", device)
                set_up(*ip, "addr", "add", f"fd77:{number}::{last}/64", "dev", device, "nodad")
                set_up(*ip, "link", "set", device, "up")
                set_up(*ip, "link", "set", "lo", "up")
            set_up("ip", "-n", other, "route", "add", "default", "via", f"10.77.{number}.1")
            set_up("ip", "-n", other, "-6", "route", "add", "default", "via", f"fd77:{number}::1")
        set_up("ip", "-n", SERVER, "addr", "add", "10.77.2.3/24", "dev", "eth0")
        set_up(*inside(ROUTER, "nft", "-f", "-"), input=RULES)
        for family in ("-4", "-6"):
            ip = ("ip", "-n", ROUTER, family)
            set_up(*ip, "rule", "add", "fwmark", "1", "lookup", "100")
            set_up(*ip, "route", "add", "local", "default", "dev", "lo", "table", "100")
        yield
    finally:
        for namespace in (ROUTER, CLIENT, SERVER):
            run("ip", "netns", "del", namespace)


@pytest.fixture(scope="module")
def origin(namespaces, certificate):
    places = [f"{address}:{port}" for port in (80, 8080, 8081, 8083, 8084)
              for address in ("10.77.2.2", "10.77.2.3", "[fd77:2::2]")]  # fmt: skip
    places += [f"{address}:{port}/tls" for port in (443, 8443, 8444)
               for address in ("10.77.2.2", "[fd77:2::2]")]  # fmt: skip
    pair = str(certificate.certificate), str(certificate.key)
    command = inside(SERVER, sys.executable, str(ORIGIN), *pair, *places)
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Intercepting:
    """The proxy in the router's namespace."""

    def __init__(self, directory):
        self.directory = directory
        (directory / "proxykit.toml").write_text(CONFIGURATION)
        hosts = directory / "hosts"
        hosts.write_text(HOSTS)
        twistd = str(Path(sys.executable).with_name("twistd"))
        # The names are for its eyes only: a mount namespace of its own.
        mounted = 'mount --bind "$0" /etc/hosts && exec "$@"'
        self._command = ["unshare", "--mount", "sh", "-c", mounted, str(hosts)]
        self._command += inside(ROUTER, twistd, "--nodaemon", "--pidfile=", "proxykit", "serve",
                                "--config", str(directory / "proxykit.toml"))  # fmt: skip
        self._output = directory / "twistd.log"

    def __enter__(self):
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                self._command, stdout=output, stderr=output, env=environment, cwd=self.directory
            )
        try:
            self.wait_until_it_listens()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait_until_it_listens(self):
        self.wait_for(lambda: self._output.read_text().count(" listens on ") == 7, 20)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)

    def wait_for(self, holds, seconds=5):
        eventually(holds, seconds, self._output.read_text)

    @property
    def said(self):
        """What twistd wrote."""
        return self._output.read_text()

    @property
    def log(self):
        path = self.directory / "access.log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def logged(self, path):
        """Give the entry of the one request for a path."""
        found = []

        def is_there():
            found[:] = [each for each in self.log if each["target"] == path]
            return bool(found)

        self.wait_for(is_there)
        assert len(found) == 1
        return found[0]


@pytest.fixture(scope="module")
def proxy(origin, tmp_path_factory):
    with Intercepting(tmp_path_factory.mktemp("intercepting")) as running:
        yield running


def curl(url, address=None, *options):
    """Ask from the client's namespace, where nobody knows of a proxy."""
    host, _, port = url.partition("://")[2].partition("/")[0].partition(":")
    port = port or {"http": "80", "https": "443"}[url.partition(":")[0]]
    where = ["--resolve", f"{host}:{port}:{address}"] if address is not None else []
    command = ("curl", "-sS", "-k", "--noproxy", "*", "--max-time", "6", *where, *options, url)
    return run(*inside(CLIENT, *command))


def asked(*arguments):
    finished = curl(*arguments)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout)


@pytest.mark.parametrize("port", [REDIRECT, TPROXY])
@pytest.mark.parametrize(
    ("host", "address"), [("www.test.lan", "10.77.2.2"), ("six.test.lan", "[fd77:2::2]")]
)
def test_a_client_that_knows_of_no_proxy_goes_through_it(proxy, port, host, address):
    path = f"/{host}-{port}"

    said = asked(f"http://{host}:{port}{path}", address)

    bare = address.strip("[]")
    assert said["reached"] == bare
    assert said["port"] == port
    assert said["host"] == (host if port == 80 else f"{host}:{port}")
    assert "proxykit" in said["via"]
    assert said["client"] in ("10.77.2.1", "fd77:2::1")
    entry = proxy.logged(path)
    assert entry["client_address"] in ("10.77.1.2", "::ffff:10.77.1.2", "fd77:1::2")
    assert entry["upstream"] == f"{address}:{port}"
    assert entry["host"] == host
    assert entry["detail"] == ""


@pytest.mark.parametrize("port", [REDIRECT_TLS, TPROXY_TLS])
@pytest.mark.parametrize(
    ("host", "address"), [("www.test.lan", "10.77.2.2"), ("six.test.lan", "[fd77:2::2]")]
)
def test_tls_passes_as_a_tunnel_by_the_name_that_it_says(proxy, port, host, address):
    path = f"/secret-{host}-{port}"

    said = asked(f"https://{host}:{port}{path}", address)

    assert said["reached"] == address.strip("[]")
    assert said["path"] == path
    assert said["via"] == ""
    entry = proxy.logged(f"{host}:{port}")
    assert entry["method"] == "CONNECT"
    assert entry["tunnel"] is True
    assert entry["sent_bytes"] > 500
    assert "is not a name" not in entry["detail"]
    assert path not in json.dumps(proxy.log)


def test_tls_without_a_name_passes_by_its_address(proxy):
    said = asked("https://10.77.2.2/unnamed")

    assert said["reached"] == "10.77.2.2"
    assert proxy.logged("10.77.2.2:443")["host"] == "10.77.2.2"


def test_several_requests_and_large_content_on_a_connection(proxy):
    url = "http://www.test.lan/large"
    finished = curl(url, "10.77.2.2", "-o", "/dev/null", url, "-o", "/dev/null",
                    "-w", "%{size_download} %{num_connects}\n")  # fmt: skip

    assert finished.stdout.split() == ["5000000", "1", "5000000", "0"]


@pytest.mark.parametrize("port", [REDIRECT, TPROXY])
def test_the_address_decides_where_to_whatever_host_says(proxy, port):
    path = f"/forged-{port}"

    said = asked(f"http://www.test.lan:{port}{path}", "10.77.2.3")

    assert said["reached"] == "10.77.2.3"
    assert "www.test.lan" in proxy.logged(path)["detail"]
    assert "is not a name of 10.77.2.3" in proxy.logged(path)["detail"]


def test_a_host_with_another_port_is_noted_too(proxy):
    said = asked("http://www.test.lan/port", "10.77.2.2", "-H", "Host: www.test.lan:8080")

    assert said["port"] == 80
    assert "is not a name of" in proxy.logged("/port")["detail"]


def test_a_client_that_says_no_name_goes_to_the_address(proxy):
    said = asked("http://10.77.2.2/old", None, "--http1.0", "-H", "Host:")

    assert said["host"] == "10.77.2.2:80"
    assert proxy.logged("/old")["detail"] == ""


def test_strictly_such_a_request_is_refused(proxy):
    fine = asked(f"http://www.test.lan:{STRICT}/", "10.77.2.2")
    forged = curl(f"http://www.test.lan:{STRICT}/", "10.77.2.3", "-i")
    unknown = curl(f"http://nowhere.invalid:{STRICT}/", "10.77.2.2", "-i")

    assert fine["reached"] == "10.77.2.2"
    assert forged.stdout.startswith("HTTP/1.1 421 ")
    assert unknown.stdout.startswith("HTTP/1.1 421 ")


@pytest.mark.parametrize("port", [REDIRECT, TPROXY])
def test_filters_judge_by_the_name(proxy, port):
    refused = curl(f"http://blocked.test.lan:{port}/", "10.77.2.2", "-i")

    assert refused.stdout.startswith("HTTP/1.1 403 ")
    assert "the access rule 'no'" in refused.stdout


@pytest.mark.parametrize("port", [REDIRECT_TLS, TPROXY_TLS])
def test_a_tls_client_that_is_refused_is_told_in_tls(proxy, port):
    refused = curl(f"https://blocked.test.lan:{port}/", "10.77.2.2")

    assert refused.returncode == 35
    assert "access denied" in refused.stderr
    assert proxy.logged(f"blocked.test.lan:{port}")["status"] == 403


def test_a_port_that_connect_may_not_reach_is_refused_for_tls(proxy):
    assert "access denied" in curl("https://www.test.lan:80/", "10.77.2.2").stderr


def test_private_addresses_may_not_be_reached_unless_configured(proxy):
    refused = curl(f"http://www.test.lan:{PRIVATE}/", "10.77.2.2", "-i")

    assert refused.stdout.startswith("HTTP/1.1 403 ")
    assert "destination_ip_prohibited" in refused.stdout


def test_what_cannot_be_reached_is_a_502_and_an_alert(proxy):
    plain = curl("http://10.77.2.9/", None, "-i")
    secured = curl("https://10.77.2.1/")

    assert plain.stdout.startswith("HTTP/1.1 50")
    assert secured.returncode == 35
    assert "internal error" in secured.stderr


def test_paths_of_the_proxy_are_their_servers_here(proxy):
    assert asked("http://www.test.lan/proxy.pac", "10.77.2.2")["path"] == "/proxy.pac"


def test_connect_is_not_for_who_knows_of_no_proxy(proxy):
    finished = run(*inside(CLIENT, sys.executable, "-c", """
import socket
s = socket.create_connection(("10.77.2.2", 80), 5)
s.sendall(b"CONNECT www.test.lan:443 HTTP/1.1\\r\\nHost: www.test.lan:443\\r\\n\\r\\n")
print(s.recv(20))
"""))  # fmt: skip

    assert "400" in finished.stdout


@pytest.mark.parametrize("data", ["\\x16garbage garbage", "\\x16\\x03\\x01\\xff\\xff"])
def test_what_only_looks_like_tls_is_closed(proxy, data):
    finished = run(*inside(CLIENT, sys.executable, "-c", f"""
import socket
s = socket.create_connection(("10.77.2.2", 443), 5)
s.sendall(b"{data}")
try:
    print(s.recv(20))
except ConnectionResetError:
    print(b"")
"""))  # fmt: skip

    assert finished.stdout == "b''\n"


@pytest.mark.parametrize("port", [3131, 3130])
def test_who_asks_the_port_itself_is_refused(proxy, port):
    refused = curl(f"http://10.77.1.1:{port}/")

    assert refused.returncode in (7, 52, 56)
    proxy.wait_for(lambda: "was not intercepted" in proxy.said)


def test_what_is_led_back_here_does_not_go_round(proxy):
    plain = curl(f"http://www.test.lan:{LOOP}/loop", "10.77.2.2", "-i")
    secured = curl(f"https://www.test.lan:{LOOP_TLS}/", "10.77.2.2")

    assert plain.stdout.startswith("HTTP/1.1 508 ")
    assert secured.returncode != 0
    assert "timed out" not in secured.stderr
    # Each time round would be an exchange; and the log is written once a second, in their order.
    assert asked("http://www.test.lan/behind", "10.77.2.2")["reached"] == "10.77.2.2"
    proxy.logged("/behind")
    assert proxy.logged(f"www.test.lan:{LOOP_TLS}")["detail"] == "tunnel ended: upstream lost"


def test_nothing_failed_inside_the_proxy(proxy):
    assert "Traceback" not in proxy.said
    assert "failed inside" not in proxy.said
