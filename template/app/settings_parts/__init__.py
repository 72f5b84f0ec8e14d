"""The settings of each part; `app/settings.py` puts them together."""
