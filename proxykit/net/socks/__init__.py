"""SOCKS, the server's and the client's part: versions 4, 4a and 5, sans-io.

Version 5 is RFC 1928, its user and password RFC 1929; version 4 is the memo "SOCKS: A protocol for
TCP proxy across firewalls" (Koblas, Lee), 4a the memo "SOCKS 4A: A simple extension to SOCKS 4
protocol" (Lee). Both parts read as far as a message goes and no further: what a peer sends behind
it belongs to the connection that SOCKS was asked for.

``words.py`` is what both parts say, ``addresses.py`` how hosts, ports and datagrams are written;
``server.py`` and ``client.py`` are the parts.
"""
