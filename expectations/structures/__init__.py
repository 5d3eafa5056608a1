"""Systems of structures: what diversity means to those whom a corpus concerns, in their own YAML, checked strictly.

A *structure* is something a document has or has not: a word of a list, a match of a pattern, a value in a column. A
*system* is a list of structures with an owner, who says why they matter and what must become of them. The framework is
that of arXiv 2601.06116 (Rios-Sialer), turned from what a model writes to what a corpus holds; the arithmetic is in
transforms/kernels/statistics/structures.py. What is not declared is not claimed.
"""
