"""Servers are killed, hung, slowed, refusing and flapping at random: no idempotent request fails.

A short run of ``python -m benchmarks.chaos``, which by itself takes a minute.
"""

from __future__ import annotations

import pytest

from benchmarks import chaos


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_no_idempotent_request_fails_while_a_server_is_healthy(capsys):
    exit_code = chaos.main(["--seconds", "5", "--clients", "32"])

    said = capsys.readouterr().out
    assert exit_code == 0, said
    assert "it held" in said
