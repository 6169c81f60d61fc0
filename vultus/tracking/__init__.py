"""What MLflow is shown: result files after a training, its history while it runs, and models that answer requests.

The files are the truth; MLflow is a view of them that can be thrown away and filled again. Importing this costs no
MLflow.
"""

from __future__ import annotations

import os
from pathlib import Path


def tracking_uri(root: Path) -> str:
    """``MLFLOW_TRACKING_URI``, else the SQLite file ``mlflow.db`` in the repository root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"
