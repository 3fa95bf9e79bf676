"""What certified unlearning may claim: formulas on numbers alone, and the table of theorems in ``theorem``."""
