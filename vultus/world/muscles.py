"""Muscle actions on the head: the action units that the embedded world can show."""

from vultus.data.tables import ACTION_UNITS

AUS: tuple[int, ...] = (*ACTION_UNITS, 19, 43)
"""FACS numbers in the order of every `au_intensity` array: those of the tables, then 19 tongue show, 43 lids closed."""
