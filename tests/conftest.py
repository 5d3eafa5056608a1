"""Settings that every test shares."""

from hypothesis import settings

# No deadline: the first call of a kernel compiles it. Derandomised: a failure in CI is a failure here.
settings.register_profile("lowbackground", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("lowbackground")
