"""Proxykit and the programs beside it: each is started out of a folder of its own.

What stands here is what a program needs to run in the foreground, in its place, and nothing about
what it is to do: ``benchmarks.peers`` tunes them for speed, ``benchmarks.caches`` has them cache.
"""
