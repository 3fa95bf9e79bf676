"""What people read of certified methods: what each claims, what was measured beside it, what a certificate buys."""
