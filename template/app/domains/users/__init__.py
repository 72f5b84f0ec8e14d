"""Users: sign-up, accounts and public profiles."""
