"""Networks, training and sampling: torch and numpy alone, no files but the checkpoints of state.py."""
