"""Transports and what is under them: the reactor, TLS, tunnels, time-outs. No HTTP policy."""
