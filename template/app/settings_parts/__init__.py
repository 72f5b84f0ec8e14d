"""Settings of each part, combined in `app/settings.py`."""
