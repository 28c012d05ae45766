"""Makes the access log that a configuration asks for."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from ..config.models import Configuration
from ..config.problems import ConfigurationErrors
from ..errors import ConfigurationError
from ..observe.access_log import AccessLog
from ..observe.log_formats import compile_format
from ..observe.privacy import OPEN, Privacy
from .compilation import Environment

# 128 bits, which nobody guesses if they are random.
_SHORTEST_SECRET = 16


def make_access_log(configuration: Configuration, environment: Environment) -> AccessLog:
    """Make the log; nothing is opened yet.

    :raises ConfigurationErrors: when its format is none, its secret is not to be had, or there is
        no folder for its file.
    """
    log = configuration.log
    path = log.access if log.access == "-" else str(configuration.directory / log.access)
    key = "format"
    try:
        compile_format(log.format, OPEN)
        key = "secret_file"
        privacy = _privacy(configuration, environment)
        key = "access"
        if path != "-" and not Path(path).parent.is_dir():
            raise ConfigurationError(f"there is no folder {Path(path).parent}")
    except ConfigurationError as error:
        problem = configuration.origin.problem(("log", key), str(error))
        raise ConfigurationErrors([problem]) from error
    return AccessLog(path, log.format, environment.reactor, privacy)


def _privacy(configuration: Configuration, environment: Environment) -> Privacy:
    log = configuration.log
    if log.addresses == log.queries == "full":
        return OPEN
    secret = environment.secret
    if log.secret_file is not None and "hash" in (log.addresses, log.queries):
        secret = _secret(configuration, log.secret_file)
    # Of its own, whatever else may be made with the same secret.
    key = sha256(b"access log\0" + secret).digest()
    return Privacy(log.addresses, log.queries, key, daily=log.pseudonyms == "daily")


def _secret(configuration: Configuration, file: str) -> bytes:
    try:
        secret = (configuration.directory / file).read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    if len(secret) < _SHORTEST_SECRET:
        raise ConfigurationError(f"{file} holds less than {_SHORTEST_SECRET} bytes")
    return secret
