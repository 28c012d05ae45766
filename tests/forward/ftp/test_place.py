"""What an FTP URL names, and who logs in."""

from __future__ import annotations

import pytest

from proxykit.errors import BadRequest
from proxykit.forward.ftp.place import Credentials, Place, credentials_of, place_of
from proxykit.message.target import parse_target
from tests.filters.exchanges import exchange


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/", Place((), "")),
        ("/x", Place((), "x")),
        ("/a/b/", Place(("a", "b"), "")),
        ("/a//b", Place(("a",), "b")),
        ("/a/../b", Place((), "b")),
        ("/%2Fetc/x", Place(("/etc",), "x")),
        ("/a%20b;type=i", Place((), "a b", "i")),
        ("/a;type=A", Place((), "a", "a")),
        ("/a;type=d", Place(("a",), "", "d")),
        ("/J%C3%BCrgen", Place((), "J\u00c3\u00bcrgen")),
    ],
)
def test_a_path_is_a_way_a_name_and_a_type(path, place):
    assert place_of(path) == place


@pytest.mark.parametrize("path", ["/%0a", "/%0D", "/%00", "/%ff", "/x;type=", "/x;type=z"])
def test_what_cannot_be_sent_is_refused(path):
    with pytest.raises(BadRequest):
        place_of(path)


@pytest.mark.parametrize(
    ("userinfo", "field", "user", "password"),
    [
        ("ada:x%3Ay@", "", "ada", "x:y"),
        ("ada@", "", "ada", ""),
        ("ada:x@", "Basic Ym9iOnk=", "ada", "x"),
        ("", "Basic Ym9iOnk=", "bob", "y"),
    ],
)
def test_credentials_are_of_the_url_or_else_of_the_field(userinfo, field, user, password):
    fields = ["Host: a.example", f"Authorization: {field}"]
    request = exchange(f"ftp://{userinfo}a.example/x", *fields).request

    assert credentials_of(request) == Credentials(user, password, given=True)
    assert "password" not in repr(credentials_of(request))


@pytest.mark.parametrize("field", ["", "Bearer x", "Basic !", "Basic Ym9i", "Basic OnB3"])
def test_without_any_it_is_anonymous(field):
    request = exchange("ftp://a.example/x", "Host: a.example", f"Authorization: {field}").request

    assert not credentials_of(request).given


def test_who_logs_in_is_in_no_target_that_could_be_logged():
    request = exchange("ftp://ada:secret@a.example:2121/x", "Host: a.example:2121").request

    assert request.raw_target == request.received_target == b"ftp://a.example:2121/x"
    assert b"secret" not in repr(request).encode()
    assert "secret" not in repr(request.target)
    assert request.authority.host == "a.example"


@pytest.mark.parametrize("target", [b"http://ada:x@a.example/", b"https://ada@a.example/",
                                    b"ftp://a@b/@c", b"ftp://ada:x@/"])  # fmt: skip
def test_only_ftp_may_have_it_and_a_host_is_needed(target):
    if target == b"ftp://a@b/@c":
        parsed = parse_target(b"GET", target)
        assert (parsed.userinfo, parsed.origin) == (b"a", b"/@c")
    else:
        with pytest.raises(BadRequest):
            parse_target(b"GET", target)


def test_the_port_is_21_unless_said_otherwise():
    assert exchange("ftp://a.example/", "Host: a.example").port == 21
    assert exchange("ftp://a.example:2121/", "Host: a.example:2121").port == 2121
    assert exchange("http://a.example/", "Host: a.example").port == 80
