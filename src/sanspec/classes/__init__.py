"""What a galaxy is called by its features: line diagnostics, labels and their errors, bimodality."""
