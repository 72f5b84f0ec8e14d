"""Renamed settings: start-up fails on an old name, which would otherwise be ignored silently."""

RENAMED = {
    "SIGN_IN_ATTEMPTS_PER_ADDRESS": "SIGN_IN_ATTEMPTS_PER_EMAIL",
    "SIGN_IN_ATTEMPTS_PER_CLIENT": "SIGN_IN_ATTEMPTS_PER_IP",
}
