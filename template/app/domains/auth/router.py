# {% from "includes/unasync.jinja" import unasync with context %}
"""HTTP routes of sign-in."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Form

from app.core.dependencies import ClientIpDep, HashSlot, LimiterDep, PasswordsDep, TokensDep
from app.domains.auth.schemas import SignIn, Token
from app.domains.auth.service import AuthService
from app.domains.users.router import UserReaderDep

router = APIRouter(prefix="/api/v1/auth", tags=["auth"])

SignInForm = Annotated[SignIn, Form()]


async def count_attempt(
    form: SignInForm, ip: ClientIpDep, limiter: LimiterDep
) -> AsyncIterator[None]:
    """Count a sign-in attempt before hashing its password; raises TooManyAttempts."""
    async with limiter.attempt(ip, form.username):
        yield


async def get_service(
    users: UserReaderDep, passwords: PasswordsDep, tokens: TokensDep
) -> AuthService:
    """Build the sign-in service on a read session."""
    return AuthService(users, passwords, tokens)


LimitAttempts = Depends(count_attempt, scope="function")
AuthServiceDep = Annotated[AuthService, Depends(get_service)]


# {% call unasync() %}
@router.post("/token", dependencies=[LimitAttempts, HashSlot])
async def sign_in(form: SignInForm, ip: ClientIpDep, service: AuthServiceDep) -> Token:
    """Exchange an e-mail and a password for an access token."""
    return await service.sign_in(form, ip)


# {% endcall %}
