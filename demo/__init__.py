"""Shows Proxykit at work: embedded origins, two proxies under twistd, real clients."""
