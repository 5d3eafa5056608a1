"""A pipeline as a job that any engine takes: what engines and people need to know of it, and the rest by reference.

Beam writes some 1.3 KB of each step into a job: how its class is pickled, a code of views on side inputs, names three times
over. Engines look at none of that. Here names are short, what is pickled lies in one file of the run (`engine/staged.py`), and
what a person is shown is the settings of our own stages.
"""

import os
from typing import Any

import apache_beam as beam
from apache_beam.internal import pickler
from apache_beam.pipeline import ComponentIdMap
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api
from apache_beam.portability.common_urns import combine_components, composites, primitives
from google.protobuf.wrappers_pb2 import BytesValue

from transforms.engine.staged import Staged, is_staging, load

PAYLOADS = {
    primitives.PAR_DO.urn: api.ParDoPayload,
    composites.COMBINE_PER_KEY.urn: api.CombinePayload,
    combine_components.COMBINE_GROUPED_VALUES.urn: api.CombinePayload,
}
PICKLED_COMBINE = python_urns.PICKLED_COMBINE_FN  # the one that is wrapped
BEAMS_OWN = b"apache_beam."


class JobGraph(beam.Pipeline):
    """A pipeline whose job is small, while a run is `staging`; elsewhere it is Beam's."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self.component_id_map = _ShortNames()
        # It is for jars of transforms in other languages, and Beam leaves that of a job which is not run.
        os.rmdir(self.local_tempdir)

    def run(self, test_runner_api: bool | str = False) -> Any:
        """As Beam's, without making another pipeline of the job first, which would be of Beam's size (for Dataflow, it is)."""
        return super().run(test_runner_api)

    def to_runner_api(self, return_context: bool = False, **options: Any) -> Any:
        """The job, as Beam's runners ask for it."""
        made = super().to_runner_api(return_context=return_context, **options)
        if is_staging():
            _by_reference(made[0] if return_context else made)
        return made


class _ShortNames(ComponentIdMap):
    """Of what a job consists of. People never see them: a step has its full label beside."""

    def _unique_ref(self, obj: Any = None, obj_type: Any = None, label: str | None = None) -> str:
        self._counters[obj_type] += 1
        return f"{obj_type.__name__[0]}{self._counters[obj_type]}"


class _Pickled(Staged):
    """All that Beam has pickled of a job, each unpickled when it is asked for."""

    def __init__(self) -> None:
        self.numbers: dict[bytes, int] = {}

    def add(self, data: bytes) -> "_Reference":
        return _Reference(self, self.numbers.setdefault(data, len(self.numbers)))

    def __getitem__(self, number: int) -> Any:
        return pickler.loads(list(self.numbers)[number])


class _Reference:
    """Is unpickled as what it stands for."""

    def __init__(self, pickled: _Pickled, number: int) -> None:
        self.pickled, self.number = pickled, number

    def __reduce__(self) -> Any:
        return load, (*self.pickled.__reduce_ex__(None)[1], self.number)


def _by_reference(job: api.Pipeline) -> None:
    """Take out of a job what engines do not need."""
    pickled = _Pickled()
    found: list[tuple[Any, Any, Any, _Reference]] = []  # a step, its payload, and a function in it
    for name, collection in job.components.pcollections.items():
        collection.unique_name = name  # of which a step's label is the better half
    for step in job.components.transforms.values():
        step.ClearField("annotations")
        if step.spec.urn == python_urns.GENERIC_COMPOSITE_TRANSFORM:
            # What says that there are steps below is plain to see. One that has no spec may have no outputs, for Dataflow's
            # translation: what they are is said below it.
            for name in ("spec", "inputs", "outputs") if "/" in step.unique_name else ():
                step.ClearField(name)
            step.spec.ClearField("payload")
        is_shown = step.subtransforms and "/" not in step.unique_name  # what is below has the same settings
        shown = [one for one in step.display_data if is_shown and BEAMS_OWN not in one.payload]
        del step.display_data[:]
        step.display_data.extend(shown)
        if step.spec.urn in PAYLOADS:
            payload = PAYLOADS[step.spec.urn].FromString(step.spec.payload)
            found += [(step, payload, one, pickled.add(_read(one))) for one in _functions(payload)]
    for step, payload, function, reference in found:  # now that all is there: the first that is pickled writes it
        _write(function, pickler.dumps(reference))
        step.spec.payload = payload.SerializeToString()


def _functions(payload: Any) -> list[Any]:
    """What is pickled in the payload of a step."""
    if isinstance(payload, api.CombinePayload):
        return [payload.combine_fn]
    return [payload.do_fn, *(side.view_fn for side in payload.side_inputs.values())]


def _read(function: Any) -> bytes:
    return BytesValue.FromString(function.payload).value if function.urn == PICKLED_COMBINE else function.payload


def _write(function: Any, data: bytes) -> None:
    function.payload = BytesValue(value=data).SerializeToString() if function.urn == PICKLED_COMBINE else data
