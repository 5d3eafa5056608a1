"""The signal store: what the survey found, one file a split; and which documents a measure speaks of."""
