"""The road that every exchange travels, in both directions; knows nothing of configuration.

``connection.py`` begins and ends a client's connection, whatever it speaks: ``server.py`` HTTP/1.1,
``socks.py`` SOCKS.
``exchange.py`` is what filters, routes and observers see of one request and its response.
``relay.py`` drives an exchange along the road: filters, route, upstream, filters, client.
``pipeline.py`` is the compiled policy: chains of filters, a router, the rules for fields.
``forwarding.py`` rewrites the fields that a proxy has to rewrite.
``answers.py`` makes the responses that the proxy gives itself.
"""
