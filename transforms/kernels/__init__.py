"""Pure functions over NumPy and Arrow buffers. No Beam, no files, no recipe, no logging."""
