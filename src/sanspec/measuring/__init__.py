"""`sanspec measure`: measurements on spectrum files of a user's own."""
