"""Proxykit beside other proxies: CPU time, rate and memory for the same work on the same machine.

`python -m benchmarks` runs it; `docs/benchmarks.md` says what is measured and how to read it.
"""

from __future__ import annotations
