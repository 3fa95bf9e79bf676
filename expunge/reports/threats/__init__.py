"""Threats to unlearning: the taxonomy of the survey beside what was measured here, for the terminal and for docs."""
