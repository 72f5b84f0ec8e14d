"""Passwords, access tokens and the rate limit for sign-in."""
