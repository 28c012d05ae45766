"""The HTTP/1.1 codec (RFC 9112): bytes in, values out, and back. Knows neither sockets nor clocks.

Theory of operation. A *reader* is fed what arrives and asked for the next event: a head
(``Request`` or ``Response``), a piece of content (``bytes``), ``EndOfMessage``, or ``None`` when
it needs more. It holds at most one head's worth of bytes. It is the only judge of framing and it
is strict: what two programs could read in two ways is an error, never a guess. A *writer* turns
checked values into bytes; nothing is ever passed on as it was received.

Heads repeat: a client sends the same fields again and again on a connection and so do servers. So
the field sections that were parsed are remembered (``remembered.py``), and what was rendered from
a section is kept beside it. `benchmarks`, case ``unrepeated``, shows what that buys.
"""
