"""The simulated sky: galaxies drawn from published relations, imaged and observed as by the SDSS.

`population` draws the properties of a galaxy, `stars` and `gas` give its light; `image`, `photometry` and
`spectrum` observe it, `galaxy` combines them. `catalogue`, `pipeline`, `speclite` and `files` write the formats
of the survey, `defects` adds a few deliberate defects, `survey` runs over all galaxies, and `checks` compares the
sky with the relations from which it was drawn. `expected` gives what a population fit should find.
"""
