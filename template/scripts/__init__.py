"""What developers run: the service with its servers, and commands beside them."""
