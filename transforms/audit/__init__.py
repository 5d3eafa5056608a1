"""People's labels of a release: which documents are drawn, gold items, and the certificate."""
