"""Estimates and measures: shares, certificates, diversity, vocabularies, samples."""
