"""Heavy work that runs outside of requests."""
