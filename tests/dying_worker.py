"""A worker of Beam's that is killed once it has done a step: `python -m tests.dying_worker -c CODE`, as a pool starts workers.

The step's name, or a part of it, is in the environment as DIES_AFTER. All that its bundle writes is written by then, and nobody
has been told. Without such a name it works as any other.
"""

import os
import signal
import sys

from apache_beam.runners.worker import bundle_processor


def die_after(step: str) -> None:
    """Kill this process at the end of the first bundle that has the step."""
    below = bundle_processor.BundleProcessor.process_bundle

    def process_bundle(self, *words):  # type: ignore[no-untyped-def]
        done = below(self, *words)
        if any(step in one.unique_name for one in self.process_bundle_descriptor.transforms.values()):
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    bundle_processor.BundleProcessor.process_bundle = process_bundle


if __name__ == "__main__":
    if "DIES_AFTER" in os.environ:
        die_after(os.environ["DIES_AFTER"])
    exec(sys.argv[2])
