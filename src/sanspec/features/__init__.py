"""What is measured on a spectrum: absorption indices and emission lines."""
