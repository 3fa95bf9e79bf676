"""What certified unlearning may claim: formulas on numbers, and the table of theorems in ``theorem``."""
