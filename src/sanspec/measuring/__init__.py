"""`sanspec measure`: spectrum files of a user's own, who is measured and what is found."""
