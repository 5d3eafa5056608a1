"""One file for each command; `pipeline/cli.py` wires them to the command line."""
