"""A small SDSS on this machine: its services over HTTP, serving a simulated sky or your own files.

It speaks what the real clients of `sanspec.archive` ask of SDSS, words its errors as SDSS does, and fails
on purpose when asked to. `sanspec serve-mock` starts it; the tests use it. No number it serves is of the real
sky.
"""
