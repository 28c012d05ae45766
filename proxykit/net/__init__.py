"""What lies between the operating system and HTTP: the reactor, transports, TLS, tunnels."""
