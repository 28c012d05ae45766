"""Privoxy's actions: which of them mean something here, and which parameters they may have."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ....message.fields import HOP_BY_HOP, checked_field
from .action_file import Action
from .filter_file import Filters, Kind
from .job import Job, NotTaken

NOT_FOR_FILTERS = HOP_BY_HOP | {b"content-length", b"host", b"via"}
"""Fields that the engine writes: what frames a message, and where it goes and came from."""

_FILTERS = {
    "filter": Kind.CONTENT,
    "client-header-filter": Kind.REQUEST_FIELDS,
    "server-header-filter": Kind.RESPONSE_FIELDS,
    "client-header-tagger": Kind.REQUEST_TAGS,
    "server-header-tagger": Kind.RESPONSE_TAGS,
}

_NOT_DONE = {
    "change-x-forwarded-for": "the filter anonymity has a say in that",
    "client-body-filter": "content of requests is not filtered",
    "client-body-tagger": "content of requests is not filtered",
    "deanimate-gifs": "images are not changed",
    "delay-response": "the filter bandwidth slows responses down",
    "downgrade-http-version": "there is no need for HTTP/1.0",
    "external-filter": "content is given to no other programs",
    "fast-redirects": "what looks like a URL inside another is not always where it leads",
    "forward-override": "parents are chosen by the listener",
    "https-inspection": "what goes through a tunnel is not read",
    "ignore-certificate-errors": "certificates are always verified",
    "limit-connect": "connect_ports of the listener says it",
}

_SPELLINGS = {"hide-referer": "hide-referrer"}


def taken(action: Action, filters: Filters) -> tuple[Action, str]:
    """Judge an action.

    :returns: the action as it is used here, and what is different, ``""`` for nothing.
    :raises NotTaken: when it has no meaning here, or not the same.
    """
    name = _SPELLINGS.get(action.name, action.name)
    if name in _NOT_DONE:
        if not action.on:
            return action, ""  # what is never on is as they want it
        raise NotTaken(_NOT_DONE[name])
    check = _CHECKS.get(name)
    if check is None and name not in _FILTERS:
        raise NotTaken("Privoxy has no such action")
    used = Action(action.on, name, action.parameter)
    if not action.on:
        return used, ""
    if name in _FILTERS:
        if action.parameter is None:
            raise NotTaken("it names no filter")
        if (_FILTERS[name], action.parameter) not in filters:
            raise NotTaken("there is no such filter, or it was not taken over")
        return used, ""
    assert check is not None
    return used, check(action.parameter) or ""


# --- what parameters may be -------------------------------------------------------------------


def _none(parameter: str | None) -> None:
    if parameter:
        raise NotTaken("it has no parameter")


def _anything(parameter: str | None) -> None:
    """Accept any."""


def _text(parameter: str | None) -> str:
    if not parameter:
        raise NotTaken("it needs a parameter")
    return parameter


def _value(parameter: str | None) -> None:
    """Accept what a field may hold."""
    try:
        checked_field(b"X", _text(parameter).encode("latin-1"))
    except ValueError:
        raise NotTaken("the parameter is no field's value") from None


def _needed(parameter: str | None) -> None:
    _text(parameter)


def _field(parameter: str | None) -> None:
    name, colon, value = _text(parameter).encode("latin-1").partition(b":")
    try:
        checked_field(name, value.strip(b" \t"))
    except ValueError:
        colon = b""
    if not colon:
        raise NotTaken("expected Name: value")
    if name.lower() in NOT_FOR_FILTERS:
        raise NotTaken(f"{name.decode('ascii')} is written by the proxy itself")


def _redirect(parameter: str | None) -> None:
    text = _text(parameter)
    if re.match(r"s[^\w\s]", text):
        if Job.parse(text).dynamic:
            raise NotTaken("option D has no meaning there")
    elif re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        _value(text)
    else:
        raise NotTaken("expected a URL, or s/pattern/replacement/")


def _image(parameter: str | None) -> None:
    if parameter not in ("pattern", "blank"):
        _redirect(parameter)


def _only_block(parameter: str | None) -> None:
    if parameter != "block":
        raise NotTaken("times are not changed at random; block is done")


def _last_modified(parameter: str | None) -> None:
    if parameter != "reset-to-request-time":
        _only_block(parameter)


def _lifetime(parameter: str | None) -> None:
    if parameter != "0":
        raise NotTaken("lifetimes are not limited; 0 is done")


def _session_cookies(parameter: str | None) -> str:
    _none(parameter)
    return "Max-Age is taken away too, which has precedence over Expires"


_Check = Callable[[str | None], str | None]

_CHECKS: Mapping[str, _Check] = {
    "add-header": _field,
    "block": _anything,
    "content-type-overwrite": _value,
    "crunch-client-header": _needed,
    "crunch-if-none-match": _none,
    "crunch-incoming-cookies": _none,
    "crunch-outgoing-cookies": _none,
    "crunch-server-header": _needed,
    "force-text-mode": _none,
    "handle-as-empty-document": _none,
    "handle-as-image": _none,
    "hide-accept-language": _value,
    "hide-content-disposition": _value,
    "hide-from-header": _value,
    "hide-if-modified-since": _only_block,
    "hide-referrer": _value,
    "hide-user-agent": _value,
    "limit-cookie-lifetime": _lifetime,
    "overwrite-last-modified": _last_modified,
    "prevent-compression": _none,
    "redirect": _redirect,
    "session-cookies-only": _session_cookies,
    "set-image-blocker": _image,
    "suppress-tag": _needed,
}
