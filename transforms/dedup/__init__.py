"""Which documents are duplicates, of each other and of earlier releases, and which of them stay."""
