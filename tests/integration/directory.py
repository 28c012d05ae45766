"""A real LDAP server, OpenLDAP's slapd, with users and groups, plain and with TLS."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from demo.certificates import CertificatePair
from demo.proxies import free_port
from tests.waiting import wait_until_listening

SUFFIX = "dc=example,dc=com"
SEARCHER = f"cn=searcher,{SUFFIX}"
SEARCHER_PASSWORD = "searchers-password"

_CONFIGURATION = """
include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/inetorgperson.schema
include {schema}/nis.schema
pidfile {directory}/slapd.pid
TLSCACertificateFile {authority}
TLSCertificateFile {certificate}
TLSCertificateKeyFile {key}
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
database mdb
suffix "{suffix}"
directory {directory}/data
maxsize 16777216
rootdn "cn=root,{suffix}"
rootpw root-password
overlay memberof
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{searcher}" read by self read by * none
"""

_ENTRIES = f"""
dn: {SUFFIX}
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: {SEARCHER}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: searcher
userPassword: {SEARCHER_PASSWORD}

dn: ou=people,{SUFFIX}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{SUFFIX}
objectClass: organizationalUnit
ou: groups

dn: uid=alice,ou=people,{SUFFIX}
objectClass: inetOrgPerson
uid: alice
cn: Alice
sn: A
userPassword: alices-password
memberOf: cn=staff,ou=groups,{SUFFIX}

dn: uid=jürgen,ou=people,{SUFFIX}
objectClass: inetOrgPerson
uid: jürgen
cn: Jürgen
sn: J
userPassword: jürgens-password
memberOf: cn=staff,ou=groups,{SUFFIX}

dn: uid=a*(b)\\5c\\,c,ou=people,{SUFFIX}
objectClass: inetOrgPerson
uid: a*(b)\\,c
cn: Odd
sn: O
userPassword: odd-password

dn: cn=staff,ou=groups,{SUFFIX}
objectClass: groupOfNames
cn: staff
member: uid=alice,ou=people,{SUFFIX}
member: uid=jürgen,ou=people,{SUFFIX}

dn: cn=posix,ou=groups,{SUFFIX}
objectClass: posixGroup
cn: posix
gidNumber: 100
memberUid: alice
"""


class Directory:
    """slapd in a process of its own.

    :ivar url: where it listens, plain.
    :ivar tls_url: and with TLS.
    """

    def __init__(self, directory: Path, certificate: CertificatePair) -> None:
        """Write its configuration."""
        self._directory = directory
        (directory / "data").mkdir()
        self._ports = (free_port(), free_port())
        self.url = f"ldap://127.0.0.1:{self._ports[0]}"
        self.tls_url = f"ldaps://127.0.0.1:{self._ports[1]}"
        self._configuration = directory / "slapd.conf"
        self._configuration.write_text(
            _CONFIGURATION.format(
                schema="/etc/ldap/schema",
                directory=directory,
                suffix=SUFFIX,
                searcher=SEARCHER,
                authority=certificate.authority,
                certificate=certificate.certificate,
                key=certificate.key,
            )
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        command = [_program("slapd"), "-f", self._configuration, "-d", "0"]
        command += ["-h", f"{self.url}/ {self.tls_url}/"]
        said = self._directory / "slapd.log"
        with said.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until_listening(self._process, *self._ports, log=said)

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def __enter__(self) -> Self:
        subprocess.run(
            [_program("slapadd"), "-f", self._configuration],
            input=_ENTRIES.encode(), check=True, capture_output=True, timeout=20,
        )  # fmt: skip
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _program(name: str) -> str:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin"
    found = shutil.which(name, path=path)
    assert found is not None, f"{name} is missing: tests/install-packages slapd"
    return found
