"""Jobs: heavy work outside of requests."""
