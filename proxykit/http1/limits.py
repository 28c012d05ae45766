"""What a peer may make the codec hold."""

from __future__ import annotations

from attrs import frozen


@frozen(slots=True)
class HeadLimits:
    """Limits on one head.

    :ivar head_size: bytes of a whole head. Precedents: nginx 4 times 8 KiB, Squid 64 KiB.
    :ivar target_size: bytes of a request target.
    :ivar fields: how many fields. Precedents: Apache 100, HAProxy 101.
    """

    head_size: int = 32 * 1024
    target_size: int = 8 * 1024
    fields: int = 128
