"""Clients of the outside world: what is fetched, how it is verified, and how it is read."""
