"""Keys: what makes two requests ask for the same thing (RFC 9111 section 2 and 4.1).

A key is a name space, the target URI, and what rules add to it. The name space keeps a reverse
listener's responses apart from all others: what a server behind it says of ``http://a/`` is not
what the world says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from ..errors import BadRequest
from ..message.target import parse_authority
from .rules import CacheRules, Query

PARTS = b"\n"
"""Stands in a key between the URI and what rules add; in no URI that can be asked for."""

SLICE = PARTS + b"slice="
"""Stands before the number of a slice."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_URL = re.compile(rb"(?P<scheme>(?i:https?))://(?P<host>[^/?#]+)(?P<target>[!-\"$-~]*)\Z")
_OWS = re.compile(rb"[ \t]*,[ \t]*")
_SPACE = re.compile(rb"[ \t]+")


@lru_cache(maxsize=4096)
def uri_prefix(namespace: bytes, scheme: str, host: bytes) -> bytes:
    """Give all of a key that stands before path and query.

    :param host: as a Host field says it.
    :raises BadRequest: when that is no host.
    """
    authority = parse_authority(host).text(_DEFAULT_PORTS.get(scheme))
    return b"%s %s://%s" % (namespace, scheme.encode("ascii"), authority.encode("ascii"))


def url_key(namespace: bytes, url: str) -> bytes:
    """Give the key of a URL, or what the keys of all URLs that begin so begin with.

    :param url: an http or https URL. Path and query are taken as they are written.
    :raises BadRequest: when it is none.
    """
    match = _URL.match(url.encode("utf-8", "surrogatepass"))
    if match is None:
        raise BadRequest("expected an http or https URL, all of it printable ASCII")
    scheme, host, target = match.groups()
    if not target.startswith(b"/"):
        target = b"/" + target
    return uri_prefix(namespace, scheme.decode("ascii").lower(), host) + target


def split_key(key: bytes) -> tuple[bytes, bytes, list[bytes]]:
    """Give the name space, the URL, and what rules added."""
    uri, *parts = key.split(PARTS)
    namespace, _, url = uri.partition(b" ")
    return namespace, url, parts


def ruled_key(
    prefix: bytes, target: bytes, rules: CacheRules, values: Mapping[bytes, bytes]
) -> bytes:
    """Make a key where rules say more than the URI, or less.

    :param target: path and query.
    :param values: the request's fields' combined values, by names in lower case.
    """
    path, mark, query = target.partition(b"?")
    if mark:
        query = ruled_query(query, rules)
        target = path + b"?" + query if query or rules.query is Query.KEEP else path
    parts = [prefix + target]
    for name in rules.key_headers:
        parts.append(b"%s: %s" % (name, normalised(name, values.get(name))))
    if rules.key_cookies:
        jar = cookies(values.get(b"cookie"))
        parts += [b"cookie %s=%s" % (name, jar.get(name, b"")) for name in rules.key_cookies]
    return PARTS.join(parts)


def ruled_query(query: bytes, rules: CacheRules) -> bytes:
    """Give what of a query is in the key.

    Parameters are told apart by ``&`` alone, and their names are compared decoded: an origin that
    decodes ``%75tm_source`` must not be asked for it under the key of another.
    """
    if rules.query is Query.IGNORE:
        return b""
    kept = [
        pair
        for pair in query.split(b"&")
        if not _is_ignored(unquote_to_bytes(pair.partition(b"=")[0]), rules)
    ]
    if rules.query is Query.SORT:
        # Only by name, and stable: the order of one name's values may mean something.
        kept.sort(key=lambda pair: pair.partition(b"=")[0])
    return b"&".join(kept)


def _is_ignored(name: bytes, rules: CacheRules) -> bool:
    if rules.query_only and not _listed(name, rules.query_only):
        return True
    return _listed(name, rules.query_ignore)


def _listed(name: bytes, patterns: tuple[bytes, ...]) -> bool:
    return any(
        name.startswith(pattern[:-1]) if pattern.endswith(b"*") else name == pattern
        for pattern in patterns
    )


def cookies(value: bytes | None) -> dict[bytes, bytes]:
    """Give the cookies of a Cookie field; the first of a name counts (RFC 6265 section 5.4)."""
    jar: dict[bytes, bytes] = {}
    if value:
        for pair in value.replace(b", ", b"; ").split(b";")[:256]:
            name, equals, content = pair.strip(b" \t").partition(b"=")
            if equals:
                jar.setdefault(name, content)
    return jar


def vary_names(value: bytes | None) -> tuple[bytes, ...]:
    """Give the fields that Vary nominates, in lower case and in order, each once."""
    if not value:
        return ()
    return tuple(
        sorted({name for each in value.lower().split(b",") if (name := each.strip(b" \t"))})
    )


def selecting(
    names: tuple[bytes, ...], values: Mapping[bytes, bytes]
) -> tuple[tuple[bytes, bytes | None], ...]:
    """Give the nominated fields of a request, normalised: equal for requests that match.

    RFC 9111 section 4.1: fields match when they are the same after white space, the combining of
    lines and what the field's own definition calls the same. "If ... a header field is absent
    from a request, it can only match another request if it is also absent there."
    """
    return tuple(
        (name, normalised(name, values[name]) if name in values else None) for name in names
    )


def normalised(name: bytes, value: bytes | None) -> bytes:
    """Normalise a field's value in ways that cannot change what it means.

    Lists lose the white space around their commas. Of content negotiation the case is the same
    too (RFC 9110 sections 8.3.1, 8.4.1 and 8.5.1), and Accept-Encoding ranks by its weights alone
    (section 12.5.3), so its order is.
    """
    if value is None:
        return b""
    value = _OWS.sub(b",", value.strip(b" \t"))
    if name in (b"accept-encoding", b"accept-language", b"accept-charset"):
        value = _SPACE.sub(b"", value.lower())
    if name == b"accept-encoding":
        value = b",".join(sorted({each for each in value.split(b",") if each}))
    return value
