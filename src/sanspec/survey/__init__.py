"""The survey's files and names: ids, spectra, image cubes, catalogue tables; how they are joined and split."""
