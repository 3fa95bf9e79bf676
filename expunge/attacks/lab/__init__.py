"""What attacks through requests share: providers who serve them, arms of an experiment, and the run that all go by."""
