"""Papers of a finished release: the law's forms, standards of other tools, a report to the maintainer of a source."""
