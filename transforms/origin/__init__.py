"""What is known of a document's origin, and from what."""
