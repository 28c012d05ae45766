"""``proxykit report``: what a JSON access log says, in tables.

``entries.py`` reads lines, ``selection.py`` says which of them count, ``counters.py`` counts within
bounds, ``tables.py`` knows what is counted, ``output.py`` writes, ``command.py`` is the command.
"""
