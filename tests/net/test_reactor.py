"""The fast reactor keeps what Twisted's reactors promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_fast_reactor_passes_twisteds_own_reactor_tests(tmp_path):
    """Its builders for core, time, descriptors, TCP, UNIX sockets, TLS, processes, endpoints."""
    finished = subprocess.run(
        [sys.executable, "-m", "twisted.trial", f"--temp-directory={tmp_path}/trial", "builders"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT / 'tests/net'}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert finished.returncode == 0, finished.stdout[-6000:] + finished.stderr[-2000:]
    assert "successes=" in finished.stdout.splitlines()[-1]
