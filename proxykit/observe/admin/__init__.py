"""The admin API: what runs, as JSON, as metrics and as a page, and what an operator does to it.

It knows nothing of how requests are served: ``control.Control`` is all that it sees of that.
"""
