"""Tests that drive real processes, and helpers that start these processes."""

from tests.live.proxy import Proxy
from tests.live.service import PASSWORD, ROOT, SERVE, Service, production, read_log, running

__all__ = ["PASSWORD", "ROOT", "SERVE", "Proxy", "Service", "production", "read_log", "running"]
