"""Releases in the formats that trainers read."""
