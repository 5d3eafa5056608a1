"""What Beam's workers wait for."""

import pytest
from apache_beam.runners.worker.statesampler import StateSampler
from apache_beam.utils.counters import CounterFactory

from transforms.engine.flush_timer import SAMPLED, end_bundles_soon


def test_a_bundle_is_looked_at_often_so_that_it_ends_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StateSampler.__init__, "__defaults__", StateSampler.__init__.__defaults__)
    end_bundles_soon()
    assert StateSampler("a bundle", CounterFactory()).sampling_period_ms == SAMPLED
    assert StateSampler("a bundle", CounterFactory(), sampling_period_ms=7).sampling_period_ms == 7
