"""The token that the admin API asks for: a file that only its owner may read."""

from __future__ import annotations

import os
import secrets
import stat
from hmac import compare_digest
from pathlib import Path

from ...errors import ConfigurationError

_SHORTEST = 16
_LONGEST = 4096
_RANDOM_BYTES = 32


def check_token_file(path: Path) -> None:
    """Check a file that there is, or the folder that one will be made in; nothing is made.

    :raises ConfigurationError: when it cannot be used.
    """
    if os.path.lexists(path):
        read_token(path)
    elif not path.parent.is_dir():
        raise ConfigurationError(f"admin.token_file: there is no folder {path.parent}")


def read_token(path: Path) -> bytes:
    """Read the token.

    :raises ConfigurationError: when there is none, it is too short, or others may read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"admin.token_file: {path} is no file")
            if found.st_mode & 0o077:
                raise ConfigurationError(
                    f"admin.token_file: {path} is open to others than its owner: its mode is "
                    f"{stat.S_IMODE(found.st_mode):04o}, chmod it to 0600"
                )
            token = file.read(_LONGEST + 1).strip()
    except OSError as error:
        raise ConfigurationError(
            f"admin.token_file: {path} cannot be read: {error.strerror}"
        ) from error
    if not _SHORTEST <= len(token) <= _LONGEST or not token.isascii() or b" " in token:
        raise ConfigurationError(
            f"admin.token_file: {path} must hold one word of {_SHORTEST} characters or more"
        )
    return token


def read_or_make_token(path: Path) -> bytes:
    """Read the token; make one where there is no file.

    :raises ConfigurationError: when that cannot be done.
    """
    if not os.path.lexists(path):
        try:
            _make_token(path)
        except FileExistsError:
            pass  # somebody else was quicker
        except OSError as error:
            raise ConfigurationError(
                f"admin.token_file: {path} cannot be made: {error.strerror}"
            ) from error
    return read_token(path)


def _make_token(path: Path) -> None:
    """Make a file with a token, all at once: nobody sees it empty, and nothing is overwritten."""
    new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with open(os.open(new, flags, 0o600), "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)  # whatever the umask says
            file.write(secrets.token_urlsafe(_RANDOM_BYTES) + "\n")
        os.link(new, path)
    finally:
        new.unlink(missing_ok=True)


def is_token(authorization: bytes | None, token: bytes) -> bool:
    """Say whether an Authorization field holds the token (RFC 6750 section 2.1).

    It takes as long whatever the field holds.
    """
    scheme, _, given = (authorization or b"").partition(b" ")
    is_bearer = scheme.lower() == b"bearer"
    return compare_digest(given.strip(), token) and is_bearer
