"""Classes of galaxies from their emission lines, errors of the classes, bimodality of galaxy properties."""
