"""How a detector is made: labelled text, fitting, calibration, evaluation, selftest."""
