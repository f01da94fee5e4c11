"""Stellar populations by FIREFLY's method (Wilkinson et al. 2015, 2017), written anew as linear algebra.

`compat` reproduces the numbers of the released code; `clean` is the method with its faults corrected.
"""
