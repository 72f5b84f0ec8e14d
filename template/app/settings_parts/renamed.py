"""Settings that have another name now: the old one is refused, so that it is not ignored in silence."""

RENAMED = {
    "SIGN_IN_ATTEMPTS_PER_ADDRESS": "SIGN_IN_ATTEMPTS_PER_EMAIL",
    "SIGN_IN_ATTEMPTS_PER_CLIENT": "SIGN_IN_ATTEMPTS_PER_IP",
}
