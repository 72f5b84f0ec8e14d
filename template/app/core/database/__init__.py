"""Database: engine, sessions, base tables and connection limits."""
