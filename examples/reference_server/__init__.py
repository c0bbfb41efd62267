"""A complete server of the v1 contract with one page on top: ``python -m examples.reference_server``.

It is an example of how a host puts the library together (``app.py`` is the part to read), and good enough
to be used: it needs nothing but Python, keeps its work in ``./data`` and is set up by the environment.
"""
