"""The one reading of the text: every signal of a document, and repeated paragraphs."""
