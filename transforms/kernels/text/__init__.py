"""What a text holds: canonical form, paragraphs, addresses, dates, credentials, phrases, hashes."""
