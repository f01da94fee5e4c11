"""The catalogue and the manifest of downloads as a database, and the queries that fill it."""
