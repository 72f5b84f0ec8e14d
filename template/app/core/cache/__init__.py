"""Cache of responses in Redis."""
