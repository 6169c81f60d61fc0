"""Stage `validate`: what holds goes on, the rest to quarantine. ``python -m stages.validate --dataset world``"""

from __future__ import annotations

from pathlib import Path

from vultus.core.config import load_params, section, subsection
from vultus.core.console import run_stage, stage_arguments, wrote


def main() -> None:
    """Read `datasets.D` and data/tables/D/ingested; write data/tables/D/valid with its quarantine and reasons."""
    arguments = stage_arguments(__doc__, "dataset")
    name = arguments.dataset

    from vultus.data.sources import DatasetConfig
    from vultus.data.validation import validate

    dataset = subsection(load_params(arguments.params), "datasets", name)
    config = section(DatasetConfig, dataset, f"datasets.{name}")
    tables = Path("data/tables") / name
    result = validate(tables / "ingested", tables / "valid", Path(config.root), name, config.validation.max_quarantined)
    counts = [f"{t['rows_valid']} of {t['rows_in']} {table}" for table, t in result["tables"].items()]
    lost = f"{100 * result['quarantined_share']:.2f} % of the clips are in quarantine"
    wrote(tables / "valid", f"{', '.join(counts)} are valid; {lost}")


if __name__ == "__main__":
    run_stage(main)
