"""What runs the service: server processes and what watches them."""
