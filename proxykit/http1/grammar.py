"""The grammar of HTTP/1.1 heads as regular expressions (RFC 9112, RFC 9110 section 5).

Every quantifier over what a peer sends is possessive (Python 3.11): nothing here can backtrack, so
time is linear in the input whatever it holds. Lines end in CRLF and nothing else.
"""

from __future__ import annotations

import re

from ..message.fields import TOKEN

REQUEST_LINE = re.compile(rb"(" + TOKEN + rb"{1,32}+) ([!\"$-~]++) HTTP/1\.([01])\r\n")
"""method, target (visible ASCII but #: a fragment is never sent), minor version."""

OTHER_VERSION = re.compile(TOKEN + rb"{1,32}+ [!\"$-~]++ HTTP/(?!1\.[01])[0-9]\.[0-9]\r\n")
"""A request line of a version not spoken here, to tell it from a wrong grammar."""

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t -~\x80-\xff]*+))?+\r\n")
"""minor version, status code, reason. The space before an empty reason is often missing.

RFC 9110 section 15: a code above 599 is no valid one, but to be taken as a 5xx, and some servers
send such (999 to whom they take for a robot).
"""

FIELD_SECTION = re.compile(rb"(?:" + TOKEN + rb"++:[\t -~\x80-\xff]*+\r\n)*+\Z")
"""A whole field section: no white space before a colon, no folded lines, no CR, LF or NUL."""

FIELD = re.compile(rb"([^:]++):[ \t]*+([^\r]*+)\r\n")
"""One field of a section that is known to be valid; white space may trail the value."""

CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15}+)(?:[ \t]*+;[\t -~\x80-\xff]*+)?+\r\n")
"""The line before a chunk's data (RFC 9112 section 7.1); extensions are read over."""
