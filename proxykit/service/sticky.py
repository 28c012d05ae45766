"""Compiles sticky sessions."""

from __future__ import annotations

import hmac

from ..balancing.learnt_sessions import LearntSessions
from ..balancing.sticky import CookieAttributes, Sticky, StickyCookie, StickyLearnt
from ..config.sticky import Sticky as StickyModel
from ..errors import ConfigurationError
from .compilation import Compilation

# 128 bits, which nobody guesses if they are random.
_SHORTEST_SECRET = 16


def compile_sticky(compilation: Compilation, pool: str, model: StickyModel) -> Sticky:
    """Compile what binds clients to the servers of a pool.

    :param pool: the pool's name.
    :raises ConfigurationError: when there is no secret to be had.
    """
    if model.cookie is not None:
        secret = _pools_own(_secret(compilation, model.secret_file), pool)
        attributes = CookieAttributes(model.max_age, model.domain, model.path)
        return StickyCookie(model.cookie, secret, attributes)
    assert model.learn is not None
    # A reload must not tear users from their sessions, so what was learnt is kept.
    sessions = compilation.environment.kept.setdefault(
        ("sticky", pool, model.learn), LearntSessions()
    )
    return StickyLearnt(model.learn, sessions, model.timeout, model.sessions)


def _secret(compilation: Compilation, file: str | None) -> bytes:
    if file is None:
        return compilation.environment.secret
    try:
        secret = (compilation.context.directory / file).read_bytes().strip()
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    if len(secret) < _SHORTEST_SECRET:
        raise ConfigurationError(f"{file} holds less than {_SHORTEST_SECRET} bytes")
    return secret


def _pools_own(secret: bytes, pool: str) -> bytes:
    """Derive a pool's secret: a cookie of one pool says nothing to another."""
    return hmac.digest(secret, f"sticky\0{pool}".encode(), "sha256")
