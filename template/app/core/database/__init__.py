"""The database: its engine, sessions, tables and limits."""
