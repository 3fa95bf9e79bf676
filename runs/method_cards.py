"""Write docs/methods.md anew from the methods' own files.

Run: python runs/method_cards.py
"""

from pathlib import Path

from expunge.reports.cards import methods_page


def main() -> None:
    """The whole page."""
    (Path(__file__).parents[1] / "docs/methods.md").write_text(methods_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
