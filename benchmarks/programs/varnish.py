"""Varnish, in the foreground and in its place."""

from __future__ import annotations

from benchmarks.programs.base import Place, Program, first_match

VCL = """
vcl 4.1;
backend default { .host = "127.0.0.1"; .port = "@ORIGIN@"; }
"""


class Varnish(Program):
    """Varnish with its built-in VCL."""

    name = "varnish"

    def version(self) -> str:
        """Return what `varnishd -V` says."""
        return first_match(r"varnish-([0-9.]+)", "varnishd", "-V")

    def in_foreground(self, place: Place, *options: str) -> list[str]:
        """Write the VCL and return the command, with these options at its end."""
        file = place.write("default.vcl", VCL)
        command = ["varnishd", "-F", "-j", "none", "-n", str(place.directory / "run"), "-T", "none"]
        return [*command, "-a", f"127.0.0.1:{place.port}", "-f", str(file), *options]
