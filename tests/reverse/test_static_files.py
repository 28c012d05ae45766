"""Files of a folder: what is found, what is hidden, and no way out."""

from __future__ import annotations

import os
import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock

from proxykit.errors import BadRequest, Denied, NoRoute
from proxykit.reverse.rewriting import rewrite_of
from proxykit.reverse.static_files import StaticFiles, StaticOptions
from tests.reverse.requests import an_exchange


@pytest.fixture
def site(tmp_path):
    root = tmp_path / "site"
    (root / "docs").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / ".git").mkdir()
    (root / ".well-known").mkdir()
    (root / "index.html").write_text("home")
    (root / "docs" / "index.html").write_text("docs")
    (root / "a.txt").write_text("0123456789")
    (root / "nothing.txt").write_text("")
    (root / "sp ace%2F.txt").write_text("odd")
    (root / "site.tar.gz").write_text("packed")
    (root / ".git" / "config").write_text("secret")
    (root / ".env").write_text("secret")
    (root / ".well-known" / "token").write_text("token")
    (root / "inside").symlink_to("docs")
    (root / "outside").symlink_to(tmp_path)
    (root / "outside.txt").symlink_to(tmp_path / "secret.txt")
    (root / "circle").symlink_to("circle")
    (root / "prefix").symlink_to(tmp_path / "site-of-another")
    (tmp_path / "site-of-another").mkdir()
    (tmp_path / "site-of-another" / "index.html").write_text("secret")
    (tmp_path / "secret.txt").write_text("secret")
    os.mkfifo(root / "pipe")
    return root


def files(root, rewrite=None, **options):
    return StaticFiles(root, StaticOptions(**options), rewrite, Clock())


def ask(served, target, **request):
    response = served.answer(an_exchange(target=target, **request))
    if response.source is not None:
        response.source.stop()
    return response


def field(response, name):
    value = response.headers.get(name.encode())
    return None if value is None else value.decode()


@pytest.mark.parametrize(
    ("target", "size", "media_type"),
    [
        ("/", 4, "text/html; charset=utf-8"),
        ("/?x=y", 4, "text/html; charset=utf-8"),
        ("/docs/", 4, "text/html; charset=utf-8"),
        ("/inside/", 4, "text/html; charset=utf-8"),
        ("/a.txt", 10, "text/plain; charset=utf-8"),
        ("/docs/../a.txt", 10, "text/plain; charset=utf-8"),
        ("/%61.txt", 10, "text/plain; charset=utf-8"),
        ("/sp%20ace%252F.txt", 3, "text/plain; charset=utf-8"),
        ("/site.tar.gz", 6, "application/gzip"),
        ("/.well-known/token", 5, "application/octet-stream"),
        ("/nothing.txt", 0, "text/plain; charset=utf-8"),
    ],
)
def test_a_file_is_found(site, target, size, media_type):
    response = ask(files(site), target)

    assert response.status == 200
    assert response.source.size == size
    assert field(response, "Content-Type") == media_type
    assert field(response, "Accept-Ranges") == "bytes"


@pytest.mark.parametrize(
    "target",
    [
        "/none.txt",
        "/empty/",
        "/a.txt/",
        "/a.txt/x",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/docs/.well-known/x",
        "/outside/",
        "/outside/secret.txt",
        "/outside.txt",
        "/prefix/",
        "/circle",
        "/pipe",
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/..%5csecret.txt",
        "/%252e%252e/secret.txt",
        "/docs/..%2f..%2f..%2fsecret.txt",
        "/a.txt%00.html",
        "/%00",
        "/" + "x" * 300,
        "/" + "x/" * 2000,
        "/%2Fetc/passwd",
        "//etc/passwd",
    ],
)
def test_what_is_no_file_of_the_folder_is_not_found(site, target):
    with pytest.raises(NoRoute):
        ask(files(site), target)


@settings(max_examples=200)
@given(
    parts=st.lists(
        st.sampled_from(
            [
                "..",
                ".",
                "%2e%2e",
                "%2E.",
                "/",
                "%2f",
                "%5c",
                "outside",
                "docs",
                "secret.txt",
                "%00",
                "//",
            ]
        ),
        max_size=8,
    ),
)
def test_no_path_leads_to_a_file_outside(parts, tmp_path_factory):
    root = _shared_site(tmp_path_factory)
    exchange = an_exchange(target="/" + "".join(parts))
    try:
        response = files(root, dotfiles=True).answer(exchange)
    except (BadRequest, NoRoute):
        return
    if response.source is not None:
        opened = Path(os.readlink(f"/proc/self/fd/{response.source._descriptor}"))
        response.source.stop()
        assert opened.is_relative_to(root)


_sites = []


def _shared_site(factory):
    """Hypothesis runs a test many times on one folder."""
    if not _sites:
        base = factory.mktemp("static").resolve()
        (base / "site" / "docs").mkdir(parents=True)
        (base / "secret.txt").write_text("secret")
        (base / "site" / "docs" / "index.html").write_text("docs")
        (base / "site" / "outside").symlink_to(base)
        _sites.append(base / "site")
    return _sites[0]


def test_dotfiles_are_served_where_that_is_asked(site):
    assert ask(files(site, dotfiles=True), "/.env").source.size == 6


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/docs", "/docs/"),
        ("/docs?a=/b", "/docs/?a=/b"),
        ("//docs", "/docs/"),
        ("/inside", "/inside/"),
        ("/%64ocs", "/docs/"),
    ],
)
def test_a_folder_without_its_slash_is_redirected_to_where_it_stands(site, target, location):
    response = ask(files(site), target)

    assert response.status == 301
    assert field(response, "Location") == location


def test_the_redirect_knows_the_prefix_that_was_stripped(site):
    served = files(site, rewrite_of("/static", (), ""))

    assert field(ask(served, "/static/docs"), "Location") == "/static/docs/"
    assert field(ask(served, "/static"), "Location") == "/static/"
    assert ask(served, "/static/a.txt").source.size == 10
    assert ask(served, "/static/").source.size == 4


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get"])
def test_only_get_and_head_are_allowed(site, method):
    response = ask(files(site), "/a.txt", method=method)

    assert response.status == 405
    assert field(response, "Allow") == "GET, HEAD"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_denied(site):
    (site / "a.txt").chmod(0)
    with pytest.raises(Denied):
        ask(files(site), "/a.txt")


@pytest.mark.parametrize(
    ("wanted", "status", "size", "content_range"),
    [
        ("bytes=2-4", 206, 3, "bytes 2-4/10"),
        ("bytes=-3", 206, 3, "bytes 7-9/10"),
        ("bytes=7-", 206, 3, "bytes 7-9/10"),
        ("bytes=0-0,5-6", 200, 10, None),
        ("nonsense", 200, 10, None),
        ("bytes=10-", 416, None, "bytes */10"),
    ],
)
def test_a_range_is_a_part_several_are_the_whole(site, wanted, status, size, content_range):
    response = ask(files(site), "/a.txt", Range=wanted)

    assert response.status == status
    assert (response.source.size if response.source else None) == size
    assert field(response, "Content-Range") == content_range


def test_a_range_is_for_get_only_and_for_the_version_that_if_range_names(site):
    tag = field(ask(files(site), "/a.txt"), "ETag")

    assert ask(files(site), "/a.txt", method="HEAD", Range="bytes=0-1").status == 200
    assert ask(files(site), "/a.txt", Range="bytes=0-1", If_Range=tag).status == 206
    assert ask(files(site), "/a.txt", Range="bytes=0-1", If_Range='"other"').status == 200


def test_a_version_that_the_client_has_is_not_sent_again(site):
    os.utime(site / "a.txt", (1_000_000_000, 1_000_000_000))
    served = files(site, cache_control="max-age=60")
    first = ask(served, "/a.txt")
    again = ask(served, "/a.txt", If_None_Match=field(first, "ETag"))

    assert again.status == 304
    assert again.source is None
    assert field(again, "ETag") == field(first, "ETag")
    assert field(again, "Cache-Control") == "max-age=60"
    assert field(first, "Last-Modified") == "Sun, 09 Sep 2001 01:46:40 GMT"
    modified = field(first, "Last-Modified")
    assert ask(served, "/a.txt", If_Modified_Since=modified).status == 304
    assert ask(served, "/a.txt", If_Match='"other"').status == 412
    (site / "a.txt").write_text("changed")
    assert ask(served, "/a.txt", If_None_Match=field(first, "ETag")).status == 200


def test_last_modified_never_lies_in_the_future(site):
    future = time.time() + 10_000
    os.utime(site / "a.txt", (future, future))

    modified = parsedate_to_datetime(field(ask(files(site), "/a.txt"), "Last-Modified"))
    assert time.time() - 60 < modified.timestamp() <= time.time()


def test_the_fallback_stands_for_what_there_is_not(site):
    served = files(site, fallback="/index.html")

    assert ask(served, "/app/page/7").source.size == 4
    assert ask(served, "/a.txt").source.size == 10
    assert ask(served, "/.env").source.size == 4


def test_the_index_is_the_first_name_that_there_is(site):
    assert ask(files(site, index=("none.html", "index.html")), "/docs/").status == 200
    with pytest.raises(NoRoute):
        ask(files(site, index=()), "/docs/")


def test_a_site_is_deployed_by_changing_a_link(site, tmp_path):
    current = tmp_path / "current"
    current.symlink_to(site)
    served = files(current)
    assert ask(served, "/a.txt").source.size == 10

    other = tmp_path / "release"
    other.mkdir()
    (other / "a.txt").write_text("new")
    current.unlink()
    current.symlink_to(other)
    assert ask(served, "/a.txt").source.size == 3


def test_a_file_that_is_not_sent_is_closed(site):
    before = len(os.listdir("/proc/self/fd"))
    for target in ("/a.txt", "/docs/", "/empty/", "/docs", "/pipe", "/none", "/outside.txt"):
        for extra in ({}, {"If_None_Match": "*"}, {"If_Match": '"x"'}, {"Range": "bytes=99-"}):
            try:
                ask(files(site), target, **extra)
            except NoRoute:
                continue

    assert len(os.listdir("/proc/self/fd")) == before
