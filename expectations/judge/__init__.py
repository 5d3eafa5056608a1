"""Whether a release meets its suite: the verdict, Great Expectations, its formats, and what moved between releases."""
