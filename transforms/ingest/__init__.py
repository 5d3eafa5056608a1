"""From files to documents: sources, splits, readers, columns, and the record of what could not be read."""
