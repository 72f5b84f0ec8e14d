"""House linter for wording: each rule finds its breach, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.matrix import FULLEST, Answers
from tests.project import Project
from tests.wording import Figures, breaches

PROMPTS = "service:\n  type: str\n  help: Service\n"


def lint(folder: Path, name: str, text: str, prompts: str = PROMPTS) -> list[str]:
    """Return the breaches in a repository of one file."""
    (folder / name).write_text(text)
    (folder / "copier.yml").write_text(prompts)
    return breaches(folder)


@pytest.mark.parametrize(
    "text",
    [
        'def url():\n    """The URL."""\n',
        'def url():\n    """What is called."""\n',
        'def url():\n    """Its address."""\n',
        'class Url:\n    """What is called."""\n',
        '"""How URLs are read."""\n',
        "x = 1\n# It is one.\n",
        "# What is one.\n# The second line.\nx = 1\n",
        "x = 1  # Whether there is one.\n",
    ],
)
def test_unclear_opening_is_found(tmp_path: Path, text: str) -> None:
    assert len(lint(tmp_path, "module.py", text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        'def url():\n    """Return the URL."""\n',
        'class Url:\n    """Address of a server."""\n',
        'class Url:\n    @property\n    def host(self):\n        """Host of the URL."""\n',
        "# A block of two lines.\n# It has one opening.\nx = 1\n",
        "# {% if what %}\nx = 1  # noqa: S105 - no secret\n# {% endif %}\n",
        "# When the server stops, connections are closed.\nx = 1\n",
    ],
)
def test_clear_opening_passes(tmp_path: Path, text: str) -> None:
    assert not lint(tmp_path, "module.py", text)


@pytest.mark.parametrize("name", ["compose.yaml", "pyproject.toml", "Dockerfile", ".gitignore"])
def test_comments_of_other_files_are_read(tmp_path: Path, name: str) -> None:
    assert len(lint(tmp_path, name, "# What is one.\n")) == 1


@pytest.mark.parametrize(
    ("question", "limit"),
    [
        ("help: '{}'", 70),
        ("help: |-\n    Question\n    {}", 77),
        ("help: Question\n  choices: {{'{}': a}}", 75),
    ],
)
def test_prompts_fit_into_80_columns(tmp_path: Path, question: str, limit: int) -> None:
    fits = f"service:\n  type: str\n  {question.format('x' * limit)}\n"
    assert not lint(tmp_path, "README.md", "", fits)
    too_long = f"service:\n  type: str\n  {question.format('x' * (limit + 1))}\n"
    assert len(lint(tmp_path, "README.md", "", too_long)) == 1


def test_figures_count_prose_and_no_code(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text('def it():\n    """The one."""\n    what = 1  # It is.\n')
    (tmp_path / "README.md").write_text(
        "What is `it`?\n\n    it = what\n\n```sh\nit\n```\nThe end.\n"
    )
    assert Figures.of(tmp_path) == Figures(functions=1, without_verb=1, words=8, its=1, whats=1)


def test_prose_is_plain(template: Path, render: Callable[[Answers], Project]) -> None:
    """Hold the repository and the fullest service to limits for the figures."""
    for root in (template, render(FULLEST).folder):
        figures = Figures.of(root)
        assert figures.words > 5_000
        assert figures.without_verb < 0.05 * figures.functions
        assert figures.its < 10 * figures.words / 1_000
        assert figures.whats < 3 * figures.words / 1_000
