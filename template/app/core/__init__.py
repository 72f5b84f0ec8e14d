"""What any domain may use; nothing here knows a domain."""
