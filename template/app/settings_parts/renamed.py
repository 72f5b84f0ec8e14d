"""Renamed settings: start-up fails on an old name, which would otherwise be ignored silently."""

RENAMED = {
    "SIGN_IN_ATTEMPTS_PER_ADDRESS": "SIGN_IN_ATTEMPTS_PER_EMAIL_AND_IP",
    "SIGN_IN_ATTEMPTS_PER_CLIENT": "SIGN_IN_ATTEMPTS_PER_IP",
    "SIGN_IN_WINDOW_SECONDS": "ATTEMPT_WINDOW_SECONDS",
}
