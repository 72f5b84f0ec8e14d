"""Simulations: the example of work that is heavy for the CPU."""
