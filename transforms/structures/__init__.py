"""Systems of structures: which documents have which, and what a system says of a corpus."""
