"""One file for each method: a config, a function, and the row that METHODS shows."""
