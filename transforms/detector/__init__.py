"""How likely a text is to come from a machine: the models, their calibration, and the share that follows."""
