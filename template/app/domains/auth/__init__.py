"""Auth: signing in, for a token."""
