"""The ``rewrite`` filter, and what it makes of a target."""

from __future__ import annotations

from proxykit.filters.rewrite import RewriteFactory, RewriteOptions
from tests.filters.exchanges import exchange


def build(**options):
    return RewriteFactory().build(RewriteOptions.model_validate(options), None)


def rewritten(target, *rules):
    subject = exchange(target)
    build(path=[{"match": match, "to": to} for match, to in rules]).request(subject)
    return subject.request.origin_target.decode()
