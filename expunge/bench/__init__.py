"""Methods scored against oracles: what is planned, run, scored and left in a folder."""
