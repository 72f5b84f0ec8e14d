"""Commands for development, and the local servers that the service needs."""
