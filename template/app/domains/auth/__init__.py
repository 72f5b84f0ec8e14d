"""Sign-in with e-mail and password."""
