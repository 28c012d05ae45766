"""nginx, in the foreground and in its place."""

from __future__ import annotations

import os

from benchmarks.programs.base import Place, Program, first_match

MAIN = """
daemon off;
@USER@
pid @DIRECTORY@/pid;
error_log stderr error;
"""

# Debian's nginx has these below /var, which is not its place here.
FOLDERS = """
    client_body_temp_path @DIRECTORY@/body;
    proxy_temp_path @DIRECTORY@/proxy;
    fastcgi_temp_path @DIRECTORY@/fastcgi;
    uwsgi_temp_path @DIRECTORY@/uwsgi;
    scgi_temp_path @DIRECTORY@/scgi;
"""


class Nginx(Program):
    """nginx."""

    name = "nginx"

    def version(self) -> str:
        """Return what `nginx -v` says."""
        return first_match(r"nginx/(\S+)", "nginx", "-v")

    def in_foreground(self, place: Place, text: str, **values: object) -> list[str]:
        """Write `nginx.conf` and return the command.

        Args:
            place: where it works.
            text: what follows in the file. `@FOLDERS@` must stand in its block `http`.
            values: what stands in the text, as in `Place.write`.
        """
        file = place.write(
            "nginx.conf",
            MAIN + text,
            user="user root;" if os.geteuid() == 0 else "",
            folders=FOLDERS,
            **values,
        )
        return ["nginx", "-e", "stderr", "-p", f"{place.directory}/", "-c", str(file)]
