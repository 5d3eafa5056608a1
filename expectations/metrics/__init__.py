"""Every metric of a release, declared once: what it is called, how it is written, of what it is a sign, its noise."""
