"""Stellar populations by FIREFLY's method (Wilkinson et al. 2015, 2017), written anew as linear algebra.

`compat.fit` reproduces the released code's numbers; `clean.fit` is the method with its faults mended.
"""
