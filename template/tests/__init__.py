"""Tests in the same folders as app/, and in live/ tests that start the service as a process."""
