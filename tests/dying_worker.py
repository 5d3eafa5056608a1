"""A worker of Beam's that may be told to die, and that Prism tells from others: `python -m tests.dying_worker -c CODE`.

It stands in for `python` where a worker pool starts its workers. The name of a step, or of a part of it, in the environment as
DIES_AFTER kills it at the end of the first bundle with that step: all that the bundle writes is written, and nobody was told.
Every worker of Beam's numbers its metrics from 1, and Prism takes equal numbers for equal metrics, so here each begins elsewhere.
"""

import os
import signal
import sys

from apache_beam.runners.worker import bundle_processor, sdk_worker


def die_after(step: str) -> None:
    """Kill this process at the end of the first bundle that has the step."""
    below = bundle_processor.BundleProcessor.process_bundle

    def process_bundle(self, *words):  # type: ignore[no-untyped-def]
        done = below(self, *words)
        if any(f"/{step}/" in f"/{one.unique_name}/" for one in self.process_bundle_descriptor.transforms.values()):
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    bundle_processor.BundleProcessor.process_bundle = process_bundle


if __name__ == "__main__":
    sdk_worker.SHORT_ID_CACHE._last_short_id = os.getpid() << 20
    if "DIES_AFTER" in os.environ:
        die_after(os.environ["DIES_AFTER"])
    exec(sys.argv[2])
