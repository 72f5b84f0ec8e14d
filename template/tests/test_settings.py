"""Settings: safe defaults, and error messages for wrong values."""

import re
from pathlib import Path

import pytest

from app.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def valid_environment(monkeypatch: pytest.MonkeyPatch, database_url: str, tmp_path: Path) -> None:
    """Set an environment that production accepts, without a `.env` file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", "a secret of production " * 2)


def test_production_is_the_default() -> None:
    settings = load_settings()
    assert settings.environment == "production"
    assert not settings.show_docs


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SECRET_KEY", "", "SECRET_KEY is not set"),
        ("SECRET_KEY", "short", "SECRET_KEY is not valid: use 32 bytes or more"),
        ("DATABASE_URL", "", "DATABASE_URL is not set"),
        ("DATABASE_URL", "oracle://host/name", "DATABASE_URL is not valid: write it as"),
        ("GRACEFUL_TIMEOUT_SECONDS", "inf", "GRACEFUL_TIMEOUT_SECONDS is not valid"),
        ("CORS_ORIGINS", "*", "name the origins"),
        ("PORT", "http", "PORT is not valid: input should be a valid integer"),
        ("DATABASE_POOL_SIZE", "0", "DATABASE_POOL_SIZE is not valid"),
        ("FORWARDED_ALLOW_IPS", "*", "name IP addresses or networks, not *"),
        ("GRACEFUL_TIMEOUT_SECONDS", "9", "GRACEFUL_TIMEOUT_SECONDS leaves requests no time"),
        ("ENVIRONMENT", "prod", "ENVIRONMENT is not valid: input should be 'development'"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_message(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(message)):
        load_settings()


@pytest.mark.parametrize("in_file", [True, False])
def test_a_renamed_setting_is_refused(monkeypatch: pytest.MonkeyPatch, *, in_file: bool) -> None:
    if in_file:
        Path(".env").write_text("SIGN_IN_ATTEMPTS_PER_CLIENT=7\n")
    else:
        monkeypatch.setenv("SIGN_IN_ATTEMPTS_PER_CLIENT", "7")
    message = "SIGN_IN_ATTEMPTS_PER_CLIENT is now SIGN_IN_ATTEMPTS_PER_IP: rename it"
    with pytest.raises(SettingsError, match=message):
        load_settings()


# {% if server == "gunicorn" %}
def test_a_wrong_setting_is_reported_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value).count("WEB_CONCURRENCY is not valid: input should be") == 1


# {% endif %}
def test_secrets_are_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "hunter2" * 8)
    assert "hunter2" not in repr(load_settings())
    monkeypatch.setenv("DATABASE_URL", "oracle://me:hunter2@host/name")
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert "hunter2" not in str(raised.value)


def test_development_needs_no_secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SECRET_KEY")
    monkeypatch.setenv("ENVIRONMENT", "development")
    assert load_settings().show_docs


def test_cors_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example")
    assert load_settings().cors_origins == ("https://a.example", "https://b.example")


def test_env_example_names_every_setting() -> None:
    example = (ROOT / ".env.example").read_text()
    named = re.findall(r"^#?([A-Z_]+)=(.*)$", example, re.MULTILINE)
    assert sorted(name for name, _ in named) == sorted(map(str.upper, Settings.model_fields))


def test_env_example_shows_the_defaults() -> None:
    example = (ROOT / ".env.example").read_text()
    for name, value in re.findall(r"^#([A-Z_]+)=(.+)$", example, re.MULTILINE):
        default = Settings.model_fields[name.lower()].default
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert value == (shown.lower() if isinstance(default, bool) else shown), name
