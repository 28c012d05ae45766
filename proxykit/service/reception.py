"""Compiles what a forward listener answers by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve

from ..config.forward import ForwardListener
from ..config.pac import Pac
from ..engine.exchange import Exchange
from ..engine.pipeline import Chain
from ..forward.inquiry import Inquiry, NamedStep
from ..forward.pac import PacScript
from ..forward.reception import PacFile, Reception
from .compilation import Compilation


def compile_reception(
    compilation: Compilation,
    name: str,
    model: ForwardListener,
    chain: Chain,
    choose: Callable[[Exchange], Any],
) -> Chain:
    """Put the reception in front of a listener's filters, if there is anything to answer.

    :param choose: the listener's router.
    """
    if model.pac is None and not model.info_host:
        return chain
    names = {id(each): kind for kind, each in compilation.plan.filters}
    steps = [
        NamedStep(names.get(id(getattr(step, "__self__", None)), "filter"), step)
        for step in chain.request
    ]
    info_host = model.info_host or None
    pac = None if model.pac is None else _pac_file(model.pac)
    reception = Reception(name, info_host, pac, Inquiry(steps, choose, info_host))
    return evolve(chain, request=(reception.request, *chain.request))


def _pac_file(model: Pac) -> PacFile:
    script = PacScript(
        model.direct,
        plain_names=model.plain_names,
        resolve=model.resolve,
        fallback=model.fallback,
    )
    return PacFile(script, tuple(model.proxies), tuple(model.clients))
