"""Arithmetic of choices: evidence, order, linear programme."""
