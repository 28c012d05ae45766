"""The families of the ``proxykit`` command: each module adds its own with ``add_to``."""
