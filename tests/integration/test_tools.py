"""Tools that people run behind a forward proxy: git, pip, apt."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def files(tmp_path):
    """A folder, and the URL under which an origin serves it."""
    folder = tmp_path / "files"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def proxy(start):
    return start("forward", "--allow-private")


def run(command, **environment):
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=25,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C"} | environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def went_through(proxy, text):
    """Stop the proxy and say whether its log has something."""
    proxy.stop()
    return any(text in line for line in proxy.log_lines())


def test_git_clones_through_the_proxy(files, proxy, tmp_path):
    folder, url = files
    work = tmp_path / "work"
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    run(["git", "init", "-q", str(work)])
    (work / "hello").write_text("hello\n")
    run(["git", "-C", str(work), "add", "hello"])
    run(["git", "-C", str(work), *identity, "commit", "-q", "-m", "Say hello"])
    run(["git", "clone", "-q", "--bare", str(work), str(folder / "hello.git")])
    run(["git", "-C", str(folder / "hello.git"), "update-server-info"])

    run(["git", "clone", "-q", f"{url}/hello.git", str(tmp_path / "clone")], http_proxy=proxy.url)

    assert (tmp_path / "clone" / "hello").read_text() == "hello\n"
    assert went_through(proxy, "/hello.git/info/refs")


def test_pip_downloads_through_the_proxy(files, proxy, tmp_path):
    folder, url = files
    page = folder / "simple" / "greeting"
    page.mkdir(parents=True)
    wheel = page / "greeting-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("greeting.py", "")
        archive.writestr(
            "greeting-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n",
        )
        archive.writestr(
            "greeting-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: a\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("greeting-1.0.dist-info/RECORD", "")
    (page / "index.html").write_text(f'<a href="{wheel.name}">{wheel.name}</a>')
    arguments = ["--isolated", "--no-cache-dir", "--disable-pip-version-check", "--no-deps"]

    where = ["--proxy", proxy.url, "--index-url", f"{url}/simple/", "--dest", str(tmp_path)]
    run([sys.executable, "-m", "pip", "download", "-q", *arguments, *where, "greeting"])

    assert (tmp_path / wheel.name).read_bytes() == wheel.read_bytes()
    assert went_through(proxy, wheel.name)


def test_apt_updates_through_the_proxy(files, proxy, tmp_path):
    assert shutil.which("apt-get"), "the tests run on Debian and its kin"
    folder, url = files
    (folder / "Packages").write_text(
        "Package: greeting\nVersion: 1.0\nArchitecture: all\nFilename: ./greeting_1.0_all.deb\n"
        "Size: 1\nMaintainer: a <a@b.example>\nDescription: says hello\n"
    )
    for part in (
        "etc/apt.conf.d",
        "etc/preferences.d",
        "state/lists/partial",
        "cache/archives/partial",
    ):
        (tmp_path / part).mkdir(parents=True)
    (tmp_path / "status").touch()
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] {url}/ ./\n")
    options = {
        "Dir::Etc": tmp_path / "etc",
        "Dir::Etc::sourcelist": tmp_path / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State": tmp_path / "state",
        "Dir::State::status": tmp_path / "status",
        "Dir::Cache": tmp_path / "cache",
        "APT::Sandbox::User": "root",
        "Acquire::AllowInsecureRepositories": "true",
        "Acquire::http::Proxy": proxy.url,
    }
    settings = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    run(["apt-get", *settings, "update"])

    assert "greeting" in run(["apt-cache", *settings, "search", "hello"])
    assert went_through(proxy, "/Packages")
