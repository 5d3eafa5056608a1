"""The ratio: what each cell of a release gives, and which documents that means."""
