"""Apache httpd, in the foreground and in its place."""

from __future__ import annotations

import pwd
from collections.abc import Iterable

from benchmarks.programs.base import Place, Program, first_match

CONFIGURATION = """
ServerRoot "@DIRECTORY@"
DefaultRuntimeDir "@DIRECTORY@"
PidFile "@DIRECTORY@/pid"
ServerName 127.0.0.1
@MODULES@
@USER@
ErrorLog "@DIRECTORY@/stderr"
LogLevel error
<Location "/">
    Require all granted
</Location>
"""

MODULES = ("mpm_event", "authz_core", "proxy", "proxy_http")


class Apache(Program):
    """Apache with the event MPM and mod_proxy."""

    name = "apache"
    accounts = ("www-data", "nobody")

    def version(self) -> str:
        """Return what `apache2 -v` says."""
        return first_match(r"Apache/(\S+)", "apache2", "-v")

    def in_foreground(
        self, place: Place, text: str, *, modules: Iterable[str], **values: object
    ) -> list[str]:
        """Write `httpd.conf` and return the command.

        Args:
            place: where it works.
            text: what follows in the file.
            modules: what it needs beside the event MPM and mod_proxy_http, without `mod_`.
            values: what stands in the text, as in `Place.write`.
        """
        account = self.account()
        file = place.write(
            "httpd.conf",
            CONFIGURATION + text,
            modules="\n".join(map(_loaded, (*MODULES, *modules))),
            user=f"User {account}\nGroup #{pwd.getpwnam(account).pw_gid}" if account else "",
            **values,
        )
        return ["apache2", "-f", str(file), "-DFOREGROUND"]


def _loaded(name: str) -> str:
    """Return the lines that load a module; a build that has it inside has no such file."""
    return (
        f"<IfModule !{name}_module>\n"
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
        "</IfModule>"
    )
