"""What is asked of a release: suites, their shorthands, waivers, and suites proposed from releases."""
