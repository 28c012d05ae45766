"""What only shows when a configuration is built is said at once, too, each with its place."""

from __future__ import annotations

import pytest

from proxykit.command import main

# Every file that it names is missing, and what needs what cannot be built adds nothing to that.
TEXT = """[admin]
token_file = "nowhere/token"
[cache.main]
store = "disk"
directory = "/dev/null/cache"
[pool.app]
servers = ["http://127.0.0.1:9001"]
sticky = { cookie = "a", secret_file = "no.secret" }
[forward.office]
listen = ["127.0.0.1:3128"]
parents = [
    "http://127.0.0.1:3129",
    { url = "http://ada@127.0.0.1:3130", password_file = "no.password" },
]
[[forward.office.filters]]
use = "auth"
users = "no.htpasswd"
[[forward.office.filters]]
use = "blocklist"
lists = ["no.list"]
[reverse.site]
listen = ["127.0.0.1:8080"]
tls = { listen = ["127.0.0.1:8443"], certificates = [{ certificate = "a", key = "b" }] }
[[reverse.site.routes]]
pool = "app"
cache = "main"
[[reverse.site.routes]]
static = { root = "nowhere" }
[[reverse.site.routes.filters]]
use = "maintenance"
page = "no.html"
"""

WHERE = [
    "2: admin.token_file",
    "3: cache.main",
    "8: pool.app.sticky.secret_file",
    "11: forward.office.parents[1]",
    "15: forward.office.filters[0]",
    "18: forward.office.filters[1]",
    "23: reverse.site.tls",
    "27: reverse.site.routes[1]",
    "29: reverse.site.routes[1].filters[0]",
]


def test_all_that_cannot_be_built_is_said_with_its_key_and_line(tmp_path, capsys):
    file = tmp_path / "f.toml"
    file.write_text(TEXT)

    assert main(["check", str(file)]) == 1

    lines = capsys.readouterr().err.splitlines()
    places = [line.removeprefix(f"{file}:") for line in lines]
    assert [": ".join(place.split(": ")[:2]) for place in places] == WHERE


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ('format = "{nobody}"', "log.format: the log format names 'nobody'"),
        ('addresses = "hash"\nsecret_file = "no"', "log.secret_file: no cannot be read"),
        ('access = "nowhere/access.log"', "log.access: there is no folder"),
    ],
)
def test_what_is_wrong_with_the_log_is_said_with_its_key_and_line(tmp_path, capsys, log, message):
    file = tmp_path / "f.toml"
    file.write_text(f'[forward.a]\nlisten = "127.0.0.1:3128"\n[log]\n{log}\n')

    assert main(["check", str(file)]) == 1

    line = 4 + log.count("\n")
    assert capsys.readouterr().err.startswith(f"{file}:{line}: {message}")
