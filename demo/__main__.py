"""``python -m demo``: real requests through a reverse and a forward proxy, explained.

Exits with 0 when everything was as it should be, with 1 and the reason when not.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from types import FrameType

from .certificates import make_certificate
from .origins import Origins
from .proxies import Proxy, ProxyDidNotStart
from .steps import Stage, Step

_MOST_SECONDS = 60


class _TooSlow(Exception):
    """The whole demonstration took too long."""


def main() -> int:
    """Run the demonstration.

    :returns: the exit code.
    """
    signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(_MOST_SECONDS)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="proxykit-demo-") as folder:
        directory = Path(folder)
        try:
            faults = _demonstrate(directory)
        except (ProxyDidNotStart, _TooSlow, OSError) as error:
            print(f"\nThe demonstration could not go on: {error}")
            faults = 1
    seconds = time.monotonic() - began
    if faults:
        print(f"\nNot all is right: {faults} of the steps went wrong ({seconds:.1f} s).")
        return 1
    print(f"\nAll is right: every step did what it should ({seconds:.1f} s).")
    return 0


def _demonstrate(directory: Path) -> int:
    certificate = make_certificate(directory, "127.0.0.1", "localhost")
    with Origins(certificate) as origins:
        ports = f"443,{origins.http_port},{origins.https_port}"
        reverse = Proxy(directory, "reverse", "--backend", origins.url)
        forward = Proxy(directory, "forward", "--allow-private", "--connect-ports", ports)
        strict = Proxy(directory, "forward")
        proxies = [reverse, forward, strict]
        _introduce(origins, reverse, forward, strict)
        for proxy in proxies:
            proxy.begin()
        try:
            for proxy in proxies:
                proxy.wait_until_it_listens()
            stage = Stage(origins, certificate, reverse, forward, strict)
            faults = sum(
                not _take(number, step) for number, step in enumerate(stage.steps(), start=1)
            )
        finally:
            for proxy in proxies:
                proxy.stop()
    _show_log("reverse proxy", reverse)
    _show_log("forward proxy", forward)
    _show_log("forward proxy with defaults", strict)
    return faults


def _introduce(origins: Origins, reverse: Proxy, forward: Proxy, strict: Proxy) -> None:
    print(
        "Proxykit, both ways. Everything here runs on this machine and ends with this program.\n\n"
        f"  origin servers               {origins.url} and {origins.https_url}\n"
        f"  reverse proxy                {reverse.url} (acts for the origin)\n"
        f"  forward proxy                {forward.url} (acts for clients)\n"
        f"  forward proxy with defaults  {strict.url} (refuses private destinations)\n"
    )


def _take(number: int, step: Step) -> bool:
    """Take a step and say how it went.

    :returns: whether it went well.
    """
    began = time.monotonic()
    print(f"{number:2}. {step.title}, through the {step.through}")
    try:
        outcome = step.run()
    except _TooSlow:
        raise
    except Exception as error:
        # Whatever a client library raises, the reader is told and the other steps go on.
        print(f"    WRONG: {type(error).__name__}: {error}\n")
        return False
    seconds = time.monotonic() - began
    print(f"    {outcome.status}, {_bytes(outcome.size)} in {_duration(seconds)}", end="")
    if outcome.size > 1 << 20:
        print(f" ({_bytes(outcome.size / seconds)}/s)", end="")
    print(f"; Via: {outcome.via}" if outcome.via else "")
    if outcome.remark:
        print(textwrap.fill(outcome.remark, 96, initial_indent="    ", subsequent_indent="    "))
    print()
    return True


def _show_log(name: str, proxy: Proxy) -> None:
    print(f"What the {name} wrote into its access log:")
    for line in proxy.log_lines():
        print(f"    {line}")


def _bytes(size: float) -> str:
    if size >= 1 << 20:
        return f"{size / (1 << 20):.0f} MiB"
    if size >= 1 << 10:
        return f"{size / (1 << 10):.1f} KiB"
    return f"{size:.0f} bytes"


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise _TooSlow(f"it took more than {_MOST_SECONDS} seconds")


if __name__ == "__main__":
    sys.exit(main())
