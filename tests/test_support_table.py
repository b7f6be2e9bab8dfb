"""README's support table is the generated one, and it names every keyword once."""

from __future__ import annotations

import pytest

from constrain.schema.drafts import ANY_DRAFT
from tests.support_table import FILES, MARKER, README, ROWS, replaced, table


def test_the_table_of_the_readme_is_the_generated_one() -> None:
    readme = README.read_text(encoding="utf-8")
    assert readme.count(MARKER) == 2
    assert replaced(readme) == readme, "run `python -m tests.support_table`"


def test_every_keyword_stands_in_one_row() -> None:
    named = [keyword for keywords, _ in ROWS for keyword in keywords]
    assert len(named) == len(set(named))
    # `id` is that of draft 4.
    assert set(named) == ANY_DRAFT.keywords | {"id"}
    assert set(FILES.values()) <= set(named)


def test_the_table_is_put_between_the_markers() -> None:
    readme = f"a\n{MARKER}\nold\n{MARKER}\nb\n"
    assert replaced(readme) == f"a\n{MARKER}\n{table()}\n{MARKER}\nb\n"
    assert replaced(replaced(readme)) == replaced(readme)
    with pytest.raises(ValueError, match="unpack"):
        replaced("no marker")
