"""Counts the rows of docs/coverage/ by their state and writes the table into docs/coverage.md; run after a change."""

from pathlib import Path

PAGE = Path(__file__).with_suffix(".md")
STATES = ("reachable", "test", "partly", "block only", "open", "left out")


def rows(file: Path) -> list[list[str]]:
    """The cells of each row of a page: number, what, state, where."""
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if not line.startswith("| row")]


def table() -> str:
    """The counts, a line for each page and one for all."""
    lines, total = [f"| | {' | '.join(STATES)} | rows |", "|---" * (len(STATES) + 2) + "|"], [0] * len(STATES)
    for file in sorted(PAGE.with_suffix("").glob("*.md")):
        found = [row[2] for row in rows(file)]
        counts = [found.count(state) for state in STATES]
        total = [one + other for one, other in zip(total, counts, strict=True)]
        lines.append(f"| [{file.stem}](coverage/{file.name}) | {' | '.join(map(str, counts))} | {len(found)} |")
    return "\n".join([*lines, f"| all | {' | '.join(map(str, total))} | {sum(total)} |"])


if __name__ == "__main__":
    parts = PAGE.read_text(encoding="utf-8").split("\n\n")
    PAGE.write_text(
        "\n\n".join(table() if one.startswith("| |") else one for one in parts).rstrip() + "\n", encoding="utf-8"
    )
