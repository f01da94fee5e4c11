"""Facts of nature, each stated once with its source: constants, lines and windows, air and vacuum, dust, cosmology."""
