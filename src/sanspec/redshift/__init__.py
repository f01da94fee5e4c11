"""Redshifts found blind: eigenspectra of the training set and scans over them."""
