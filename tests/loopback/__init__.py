"""A loopback SDSS: the survey's services over HTTP on this machine, for a simulated sky or your own spectra.

It answers what the clients of `sanspec.archive` ask of SDSS, words its errors as SDSS does, and fails on purpose
when asked to. The tests use it; `python tests/loopback` starts it by hand. It never serves data of the real sky.
"""
