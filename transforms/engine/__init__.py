"""How work is done on Beam and beside it: threads, coders, memory, progress."""
