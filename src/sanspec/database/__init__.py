"""Catalogue and download manifest as a database, the queries that fill it, spectra packed as they arrive."""
