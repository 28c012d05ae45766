"""The token's file, and who has the token."""

from __future__ import annotations

import os
import stat

import pytest

from proxykit.errors import ConfigurationError
from proxykit.observe.admin.token import (
    check_token_file,
    is_token,
    read_or_make_token,
    read_token,
)

TOKEN = b"0123456789abcdef0123"


def test_a_token_is_made_that_only_its_owner_may_read(tmp_path):
    before = os.umask(0)
    try:
        token = read_or_make_token(tmp_path / "token")
    finally:
        os.umask(before)

    assert len(token) >= 40
    assert stat.S_IMODE((tmp_path / "token").stat().st_mode) == 0o600
    assert read_or_make_token(tmp_path / "token") == token
    assert read_or_make_token(tmp_path / "other") != token


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_is_open_to_others_is_refused(tmp_path, mode):
    file = tmp_path / "token"
    file.write_bytes(TOKEN)
    file.chmod(mode)

    with pytest.raises(ConfigurationError, match=f"its mode is {mode:04o}"):
        read_token(file)
    with pytest.raises(ConfigurationError):
        read_or_make_token(file)


@pytest.mark.parametrize(
    "content", [b"", b"short", b"two words that are long enough", b"\xff" * 32]
)
def test_what_is_no_token_is_refused(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    file.chmod(0o600)

    with pytest.raises(ConfigurationError, match="one word of 16 characters"):
        read_token(file)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("pipe", "."):
        with pytest.raises(ConfigurationError):
            read_token(tmp_path / name)


def test_a_token_is_not_made_where_a_link_points(tmp_path):
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigurationError):
        read_or_make_token(tmp_path / "token")
    assert not (tmp_path / "elsewhere").exists()


def test_a_check_makes_no_file(tmp_path):
    check_token_file(tmp_path / "token")

    assert not (tmp_path / "token").exists()


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"Bearer " + TOKEN, True),
        (b"bearer  " + TOKEN, True),
        (None, False),
        (b"", False),
        (TOKEN, False),
        (b"Basic " + TOKEN, False),
        (b"Bearer", False),
        (b"Bearer " + TOKEN[:-1], False),
        (b"Bearer " + TOKEN + b"0", False),
        (b"Bearer \xff\xc3\xa9", False),
    ],
)
def test_only_the_token_is_the_token(field, expected):
    assert is_token(field, TOKEN) is expected
