"""Users: signing up, and the profiles of who did."""
