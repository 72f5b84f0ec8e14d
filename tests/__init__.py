"""Renders every service that the template can make, and runs every one that differs."""
