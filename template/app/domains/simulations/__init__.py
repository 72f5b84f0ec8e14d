"""Simulations: an example of jobs that need much CPU time."""
