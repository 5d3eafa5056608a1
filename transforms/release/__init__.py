"""What a run leaves: ledger, review queue, verdict, shards; and reading a release again."""
