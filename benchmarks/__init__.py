"""Benchmarks of the rendered services, as ratios within one interleaved run."""
