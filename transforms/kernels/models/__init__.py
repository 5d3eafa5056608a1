"""Small models of text: linear classifier, bits per byte."""
