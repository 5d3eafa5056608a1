"""How like documents are: MinHash, bands, components, covers, n-grams, embeddings."""
