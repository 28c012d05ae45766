"""An installed wheel works, and somebody else's filter package does beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from demo.proxies import free_port
from tests.scripted import ScriptedOrigin, exchange, reply

ROOT = Path(__file__).parents[2]
THIRD_PARTY = Path(__file__).with_name("third_party")
TEXT = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


def run(*command, **more):
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, **more)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A fresh environment with both packages' wheels; the dependencies are those of this one."""
    directory = tmp_path_factory.mktemp("installed")
    sources = directory / "proxykit-source"
    wanted = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "tests")
    shutil.copytree(ROOT, sources, ignore=wanted)
    third_party = shutil.copytree(THIRD_PARTY, directory / "third_party")
    wheels = directory / "wheels"
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    run(*build, "-w", str(wheels), str(sources), str(third_party))
    run(sys.executable, "-m", "venv", "--without-pip", str(directory / "venv"))
    binaries = directory / "venv/bin"
    site = Path(
        run(
            binaries / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"
        ).strip()
    )
    install = [sys.executable, "-m", "pip", "--python", str(binaries / "python"), "install", "-q"]
    run(*install, "--no-deps", *map(str, wheels.iterdir()))
    # The dependencies' folder, without what makes this checkout importable from it.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return binaries


def python(environment, *arguments):
    """Run the environment's Python where the checkout cannot be imported."""
    return run(environment / "python", *arguments, cwd=environment, env={"PATH": "/usr/bin:/bin"})


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_the_wheel_gives_the_plug_in_the_reactor_and_the_command(environment):
    plugins = python(environment, "-m", "proxykit.command", "plugins")
    assert (environment / "proxykit").exists()
    assert "access" in plugins
    assert "makes texts loud" in plugins
    twistd = ("-c", "from twisted.scripts.twistd import run; run()")
    assert "proxykit" in python(environment, *twistd, "--help")
    assert "proxykit" in python(environment, *twistd, "--help-reactors")
    page = "from proxykit.observe.admin.page import Page; Page()"
    python(environment, "-c", page)
    where = python(environment, "-c", "import proxykit; print(proxykit.__file__)")
    assert str(environment.parent) in where, "it is the wheel that runs, not the checkout"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_third_partys_filter_is_used_by_name(environment, tmp_path):
    port = free_port()
    with ScriptedOrigin(reply(TEXT)) as origin:
        file = tmp_path / "proxykit.toml"
        file.write_text(
            f'[pool.a]\nservers = ["{origin.url}"]\n'
            f'[reverse.a]\nlisten = ["127.0.0.1:{port}"]\n'
            '[[reverse.a.filters]]\nuse = "shout"\nmark = "?"\n'
            '[[reverse.a.routes]]\npool = "a"\n'
        )
        command = [environment / "python", "-c", "from twisted.scripts.twistd import run; run()"]
        command += ["-n", "--pidfile=", "proxykit", "serve", "--config", str(file)]
        process = subprocess.Popen(command, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"},
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)  # fmt: skip
        try:
            for line in process.stdout:
                if "listens on" in line:
                    break
            answer = exchange(
                ("127.0.0.1", port), b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            )
        finally:
            process.terminate()
            process.communicate(timeout=10)

    assert b"HELLO" in answer
    assert answer.endswith(b"?\r\n0\r\n\r\n")
