"""Running origins and proxies for the tests over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from demo.certificates import CertificatePair, make_certificate
from demo.origins import Origins
from demo.proxies import Proxy, free_port

# The machine may be busy, and a test that takes too long has a time-out anyway.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> CertificatePair:
    """A certificate for the loopback address, with its key and its root."""
    return make_certificate(tmp_path_factory.mktemp("certificate"), "localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def origins(certificate: CertificatePair) -> Iterator[Origins]:
    """Real origin servers, http and https."""
    with Origins(certificate) as running:
        yield running


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Proxy]]:
    """Start a proxy that is stopped when the module's tests are done."""
    directory: Path = tmp_path_factory.mktemp("proxies")
    with ExitStack() as stack:
        yield lambda mode, *options, **more: stack.enter_context(
            Proxy(directory, mode, *options, **more)
        )


@pytest.fixture
def configured(tmp_path: Path) -> Iterator[Callable[[Callable[[int], str]], Proxy]]:
    """Start a proxy with the configuration that there is for a port; its log is ``access_log``."""
    with ExitStack() as stack:

        def start(configuration: Callable[[int], str]) -> Proxy:
            port = free_port()
            log = tmp_path / f"access-{port}.log"
            text = f'[log]\naccess = "{log}"\nformat = "json"\n{configuration(port)}'
            proxy = Proxy.serving(tmp_path, text, port)
            proxy.access_log = log
            return stack.enter_context(proxy)

        yield start
