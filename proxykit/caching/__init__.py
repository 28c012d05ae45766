"""The shared HTTP cache (RFC 9111): a pure policy, the stores, collapsed forwarding."""
