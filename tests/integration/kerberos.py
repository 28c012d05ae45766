"""A real Kerberos realm: MIT's KDC, with a user and a service."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from demo.proxies import free_port
from tests.waiting import wait_until_listening

REALM = "EXAMPLE.TEST"

_CLIENTS = """
[libdefaults]
default_realm = {realm}
dns_lookup_kdc = false
dns_lookup_realm = false
dns_canonicalize_hostname = false
rdns = false
udp_preference_limit = 1
[realms]
{realm} = {{
  kdc = 127.0.0.1:{port}
}}
[domain_realm]
localhost = {realm}
"""

_SERVER = """
[kdcdefaults]
kdc_listen = 127.0.0.1:{port}
kdc_tcp_listen = 127.0.0.1:{port}
[realms]
{realm} = {{
  database_name = {directory}/principal
  key_stash_file = {directory}/stash
  acl_file = {directory}/acl
}}
"""


class Realm:
    """A KDC in a process of its own; ``alice`` has a ticket, the service a keytab.

    :ivar keytab: of HTTP/localhost.
    :ivar environment: in which a client is alice.
    """

    def __init__(self, directory: Path) -> None:
        """Write its configuration."""
        self._port = free_port()
        values = {"realm": REALM, "port": self._port, "directory": directory}
        (directory / "krb5.conf").write_text(_CLIENTS.format(**values))
        (directory / "kdc.conf").write_text(_SERVER.format(**values))
        self.keytab = directory / "http.keytab"
        self.other_keytab = directory / "other.keytab"
        self.environment = {
            **os.environ,
            "KRB5_CONFIG": str(directory / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(directory / "kdc.conf"),
            "KRB5CCNAME": f"FILE:{directory / 'tickets'}",
            "KRB5RCACHEDIR": str(directory),
        }
        self._log = directory / "kdc.log"

    def __enter__(self) -> Self:
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "master")
        for query in (
            "addprinc -pw alices-password alice",
            "addprinc -randkey HTTP/localhost",
            "addprinc -randkey HTTP/elsewhere",
            f"ktadd -k {self.keytab} HTTP/localhost",
            f"ktadd -k {self.other_keytab} HTTP/elsewhere",
        ):
            self._run("kadmin.local", "-r", REALM, "-q", query)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [_program("krb5kdc"), "-n", "-r", REALM],
                stdout=log, stderr=log, env=self.environment,
            )  # fmt: skip
        wait_until_listening(self._process, self._port, log=self._log)
        self._run("kinit", "alice", content="alices-password\n")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def _run(self, name: str, *arguments: str, content: str = "") -> None:
        done = subprocess.run(
            [_program(name), *arguments],
            input=content, capture_output=True, text=True, timeout=20, env=self.environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def _program(name: str) -> str:
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert found is not None, f"{name} is missing: tests/install-packages krb5kdc=krb5-kdc"
    return found
