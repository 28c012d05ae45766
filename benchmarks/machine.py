"""The machine and the checkout, as the results describe them: no names, no paths."""

from __future__ import annotations

import os
import platform
import re
import ssl
import subprocess
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]


def describe_machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": cpu[1].strip() if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
        "virtual": "hypervisor" in Path("/proc/cpuinfo").read_text(),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        "python": platform.python_version(),
        "openssl_of_python": ssl.OPENSSL_VERSION,
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
    }


def commit() -> str:
    """Return the checkout's short commit, with a `+` when files differ from it.

    Without git or a commit it is `unversioned`.
    """
    try:
        short = git("rev-parse", "--short", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unversioned"
    return short + ("+" if changed else "")


def git(*arguments: str) -> str:
    """Return what git prints about this checkout, stripped."""
    ran = subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return ran.stdout.strip()
