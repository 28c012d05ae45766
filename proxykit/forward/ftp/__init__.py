"""FTP for HTTP clients: ``ftp://`` targets fetched by Twisted's FTP client.

``place.py`` reads URLs, ``control.py`` and ``transfer.py`` are the two connections, ``fetching.py``
the conversation on them, ``listing.py`` reads directories and ``listing_page.py`` writes them,
``gateway.py`` is what the listener calls. Twisted's FTP module asks for the reactor when it is
imported, so only a listener that serves FTP imports these.
"""
