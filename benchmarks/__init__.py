"""How fast the rendered services are, as ratios in one interleaved run."""
