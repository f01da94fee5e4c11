"""The embedded sky: galaxies drawn from published relations, imaged and observed as the SDSS would.

`population` draws what a galaxy is, `stars` and `gas` give its light; `image`, `photometry` and `spectrum`
observe it, `galaxy` joins them. `catalogue`, `pipeline`, `speclite` and `files` know the survey's formats,
`defects` spoils a few rows on purpose, `survey` runs over all galaxies, and `checks` holds the sky against
the relations it was drawn from.
"""
