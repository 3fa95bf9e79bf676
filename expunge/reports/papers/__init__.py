"""What goes into a paper or a notebook: comparisons, tables, figures and frames of a folder of results."""
