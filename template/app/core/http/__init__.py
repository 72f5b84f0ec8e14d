"""What speaks HTTP: requests, answers, errors."""
