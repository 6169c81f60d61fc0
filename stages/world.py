"""Stage `world`: writes the embedded data set. ``python -m stages.world``"""

from __future__ import annotations

import argparse
from pathlib import Path

from vultus.core.config import load_params, section, subsection
from vultus.core.console import run_stage, wrote


def main() -> None:
    """Read `seed` and `world` of params.yaml; write data/raw/world."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    parser.add_argument("--root", type=Path, default=Path("data/raw/world"))
    arguments = parser.parse_args()

    from vultus.world.dataset import write_world
    from vultus.world.population import WorldConfig
    from vultus.world.sheets import write_sheets

    params = load_params(arguments.params)
    config = section(WorldConfig, subsection(params, "world"), "world")
    written = write_world(config, int(params["seed"]), arguments.root)
    write_sheets(arguments.root / "sheets", config, int(params["seed"]))
    wrote(
        arguments.root,
        f"SYNTHETIC: {written.people} people, {written.clips} clips ({written.recorded} recorded now, "
        f"the others from the cache), {written.frames} annotated frames",
    )


if __name__ == "__main__":
    run_stage(main)
