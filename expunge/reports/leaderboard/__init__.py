"""What benches left in ``results/``, ranked over all forget sets."""
