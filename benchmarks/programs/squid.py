"""Squid, in the foreground and in its place."""

from __future__ import annotations

from benchmarks.programs.base import Place, Program, first_match

CONFIGURATION = """
acl all_ports port 1-65535
http_access allow all_ports
cache_log @DIRECTORY@/cache.log
cache_store_log none
pid_filename @DIRECTORY@/pid
coredump_dir @DIRECTORY@
netdb_filename none
pinger_enable off
icp_port 0
shutdown_lifetime 1 second
visible_hostname benchmark
@USER@
"""


class Squid(Program):
    """Squid, one process."""

    name = "squid"
    accounts = ("proxy", "squid")

    def version(self) -> str:
        """Return what `squid -v` says."""
        return first_match(r"Version (\S+)", "squid", "-v")

    def in_foreground(self, place: Place, text: str, **values: object) -> list[str]:
        """Write `squid.conf` and return the command.

        Args:
            place: where it works.
            text: what the file begins with.
            values: what stands in the text, as in `Place.write`.
        """
        account = self.account()
        user = f"cache_effective_user {account}" if account else ""
        file = place.write("squid.conf", text + CONFIGURATION, user=user, **values)
        return ["squid", "-N", "-f", str(file)]
