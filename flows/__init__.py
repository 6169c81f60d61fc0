"""Prefect over the stages; never loads torch.

Importing the package reads ``.env`` (what is set already wins), because Prefect reads its settings when it is imported.
"""

from flows.processes import load_environment

load_environment()
