"""Server processes, their shutdown and their watchdog."""
