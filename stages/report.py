"""Stage `report`: the static site. ``python -m stages.report``"""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.core.config import load_params
from vultus.core.console import run_stage, wrote


def main() -> None:
    """Build reports/site from the files that the other stages wrote."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--out", type=Path, default=Path("reports/site"))
    arguments = parser.parse_args()

    from vultus.core.folders import replaced_folder
    from vultus.report.site import build_site

    with replaced_folder(arguments.out) as out:
        pages = build_site(arguments.root, out, load_params(arguments.root / "params.yaml"))
    wrote(arguments.out / "index.html", f"{pages} pages")


if __name__ == "__main__":
    run_stage(main)
