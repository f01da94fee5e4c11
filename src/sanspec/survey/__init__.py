"""The survey's own names and files: ids, spectra, image cubes, catalogue tables; the join of them and its splits."""
