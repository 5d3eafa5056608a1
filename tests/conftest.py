"""Settings that every test shares."""

import os
import pathlib

from hypothesis import settings

# Numba numbers the files of its cache by what it saw there at first: two processes that compile the same function for
# different types can write over each other, and a third then loads the wrong code. So each worker has a cache of its own.
worker = os.environ.get("PYTEST_XDIST_WORKER")
if worker:
    os.environ["NUMBA_CACHE_DIR"] = str(pathlib.Path(__file__).parents[1] / ".pytest_cache" / f"kernels-{worker}")

# No deadline: the first call of a kernel compiles it. Derandomised: a failure in CI is a failure here.
settings.register_profile("lowbackground", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("lowbackground")
