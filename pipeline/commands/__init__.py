"""One file for each command; `pipeline/console/` wires them to the command line."""
