"""Waiting for what has no other way to say that it happened."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from demo.proxies import listens

Result = TypeVar("Result")


def eventually(
    condition: Callable[[], Result], seconds: float = 12.0, why: Callable[[], str] | None = None
) -> Result:
    """Wait until something is so, and give it.

    :param condition: asked again and again; it is so once the answer is true.
    :param seconds: how long it may take.
    :param why: gives what to say when it takes longer.
    """
    deadline = time.monotonic() + seconds
    waiting = threading.Event()
    while not (result := condition()):
        assert time.monotonic() < deadline, (
            why() if why else f"{condition} did not become true in {seconds} s"
        )
        waiting.wait(0.02)
    return result


def wait_for_text(file: Path, text: str, seconds: float = 12.0) -> None:
    """Wait until a log has a text."""

    def content() -> str:
        return file.read_text() if file.exists() else ""

    eventually(lambda: text in content(), seconds, lambda: f"no {text!r} in:\n{content()}")


def wait_until_listening(
    process: subprocess.Popen[bytes], *ports: int, host: str = "127.0.0.1", log: Path | None = None
) -> None:
    """Wait until another program takes connections.

    :param log: what it wrote, to be shown when it does not listen.
    """
    for port in ports:
        assert listens(process, (host, port), 15.0), log.read_text() if log else process.args
