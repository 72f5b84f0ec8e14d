# {% from "includes/unasync.jinja" import unasync with context %}
"""HTTP routes of sign-in."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Form

from app.core.dependencies import ClientIpDep, HashSlot, LimiterDep, PasswordsDep, TokensDep
from app.core.security.rate_limit import AttemptLimit
from app.domains.auth.schemas import SignIn, Token
from app.domains.auth.service import AuthService
from app.domains.users.router import UserReaderDep

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])

SignInForm = Annotated[SignIn, Form()]


async def limit_sign_in(
    form: SignInForm, ip: ClientIpDep, limiter: LimiterDep
) -> AsyncIterator[None]:
    """Refuse too many attempts before any of them costs a hash; raises TooManyAttempts."""
    email, settings = form.username, limiter.settings
    # The tight limit is by both, and first: attempts beyond it must not lock the owner out.
    async with limiter.attempt(
        AttemptLimit(f"sign-in {ip} {email}", settings.sign_in_attempts_per_email_and_ip, "reset"),
        AttemptLimit(f"sign-in {email}", settings.sign_in_attempts_per_email, "reset"),
        AttemptLimit(f"sign-in {ip}", settings.sign_in_attempts_per_ip, "release"),
    ):
        yield


async def get_service(
    users: UserReaderDep, passwords: PasswordsDep, tokens: TokensDep
) -> AuthService:
    """Build the sign-in service on a read session."""
    return AuthService(users, passwords, tokens)


SignInLimit = Depends(limit_sign_in, scope="function")
AuthServiceDep = Annotated[AuthService, Depends(get_service)]


# {% call unasync() %}
@router.post("/token", dependencies=[SignInLimit, HashSlot])
async def sign_in(form: SignInForm, ip: ClientIpDep, service: AuthServiceDep) -> Token:
    """Exchange an e-mail and a password for an access token."""
    return await service.sign_in(form, ip)


# {% endcall %}
