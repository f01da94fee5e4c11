"""Reading back what the stages wrote: prepared spectra, samples for the networks, predictions."""
