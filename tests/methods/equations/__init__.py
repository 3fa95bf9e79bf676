"""One hand-computed case for each method, in the file of its family."""
