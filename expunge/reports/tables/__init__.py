"""The tables of the terminal, and how numbers are written."""
