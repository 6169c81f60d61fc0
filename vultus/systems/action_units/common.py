"""The contract of the action unit family: what a batch holds, what a prediction is, how it is scored.

A batch (B faces, A action units, K landmarks, l side of the crop):

    image         (B, 3, l, l) float32, RGB in -1..1, or its local contrast
    landmarks     (B, K, 2) float32 px of the crop
    biocular      (B,) float32 px, distance of the eye centres (the released list files hold its square)
    au_occurrence (B, A) float32: 1 present, 0 absent, -1 not coded
    row           (B,) int64, row of the feature store

Training crops are drawn at random places and flipped by chance, with their landmarks; all others are central crops.
Scores are frame-based: F1 and accuracy of each AU at probability 0.5 over all frames of a fold's test people, averaged
over AUs, then over folds. Selection sees validation people alone. Frames of one person are near-duplicates, so the
intervals draw people.

Test faces, too, are aligned by the annotated points where the data set brings them, as in the papers, and NME is a
share of the annotated eye distance; a system's attention follows the points that it predicts itself. So the numbers
leave out the error of a face detector, unless `landmarks.<D>.mode` asks for one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from vultus.core.errors import UserError
from vultus.core.results import ResultRow
from vultus.core.seeds import generator
from vultus.core.system import Batch, Evaluation, Family, Fold, System
from vultus.data import splits
from vultus.data.parquet import read_frame
from vultus.data.stores import Store, open_store
from vultus.data.tables import ACTION_UNITS
from vultus.face.au_sheets import attention_sheet, decision_sheet, landmark_sheet
from vultus.face.landmarks import flip_landmarks, normalised_mean_error, reduce_points
from vultus.metrics.bootstrap import interval, resample
from vultus.metrics.calibration import ece, reliability
from vultus.metrics.landmarks import failed
from vultus.metrics.occurrence import accuracy, confusion, f1, group_sums, macro

if TYPE_CHECKING:
    from vultus.core.experiment import Experiment

Array = npt.NDArray[Any]

BP4D_AUS = (1, 2, 4, 6, 7, 10, 12, 14, 15, 17, 23, 24)
"""The 12 action units of the BP4D protocol."""
DISFA_AUS = (1, 2, 4, 6, 9, 12, 25, 26)
"""The 8 action units of the DISFA protocol; present means intensity 2 or more."""

HEADLINE = ("F1", "Accuracy", "ECE", "NME")
PROTOCOL = (
    "three subject-exclusive folds (BP4D, DISFA); unseen people (world); test faces are aligned by the annotated points"
    " where the data set brings them"
)
"""Of all cards of the family."""
NAN = float("nan")


@dataclass(frozen=True)
class FaceConfig:
    """What every system of the family can be told about its input and labels."""

    aus: tuple[int, ...] = BP4D_AUS
    """FACS numbers, in the order of the outputs."""
    image_px: int = 176
    """Side of the square crop that the network sees (l)."""
    resize_px: int = 0
    """Side to which the stored aligned faces are resized before the crop; 0 = as stored (200 in the papers)."""
    land_num: int = 49
    """Landmarks: 49, 66 or 68."""
    flip: bool = True
    """Flip half of the training faces."""
    contrast_px: int = 0
    """Side of the window of `local_contrast`, odd; 0 = colours as they are, as in the papers."""
    labels: Literal["occurrence", "intensity"] = "occurrence"
    """Which coding decides that an AU is present."""
    intensity_threshold: float = 2.0
    """With ``labels: intensity``: present from this FACS intensity on (0..5)."""
    validation_frames: int = 0
    """At most about this many evenly spaced frames are scored after an epoch; 0 = all. Test frames are all scored."""

    def __post_init__(self) -> None:
        unknown = [au for au in self.aus if au not in ACTION_UNITS]
        if unknown:
            raise ValueError(f"aus has no action unit {unknown[0]}; known: {', '.join(map(str, ACTION_UNITS))}")
        if self.contrast_px and self.contrast_px % 2 == 0:
            raise ValueError(f"contrast_px must be odd, or 0, not {self.contrast_px}")


@dataclass(frozen=True)
class Prediction:
    """What a system of the family says of B faces; ``metadata`` of each field gives its unit and range."""

    au_probability: Tensor = field(metadata={"unit": "", "range": (0.0, 1.0), "shape": "B A"})
    """(B, A): probability that the AU is present."""
    local_probability: Tensor | None = field(default=None, metadata={"unit": "", "range": (0.0, 1.0), "shape": "B A"})
    """(B, A): the same from each AU's own branch."""
    landmarks: Tensor | None = field(default=None, metadata={"unit": "px", "range": None, "shape": "B K 2"})
    """(B, K, 2) px of the crop."""
    predefined: Tensor | None = field(default=None, metadata={"unit": "", "range": (0.0, 1.0), "shape": "B A M M"})
    """(B, A, M, M): attention maps drawn around the landmarks."""
    attention: Tensor | None = field(default=None, metadata={"unit": "", "range": (0.0, 1.0), "shape": "B A m m"})
    """(B, A, m, m): the maps that the features are seen through."""


class AuFold(Fold):
    """One fold: people of a split, frames of a ``crops`` store."""

    def __init__(self, store: Store, split: splits.Split, config: FaceConfig, seed: int) -> None:
        split.check_disjoint()
        self.name, self.split, self.split_hash = split.name, split, split.hash
        self.store, self.config, self.seed = store, config, seed
        self.stored_px = int(store.meta["arrays"]["face"]["shape"][1])
        self.aligned_px = config.resize_px or self.stored_px
        if self.aligned_px < config.image_px:
            raise UserError(
                f"config.image_px is {config.image_px}, but the aligned faces are {self.aligned_px} px wide:"
                " lower image_px, or raise the data set's crops.size_px"
            )
        columns = [ACTION_UNITS.index(au) for au in config.aus]
        if config.labels == "intensity":
            intensity = np.asarray(store["au_intensity"][:, columns])
            self.target: Array = np.where(np.isnan(intensity), -1, intensity >= config.intensity_threshold).astype(
                np.int8
            )
        else:
            self.target = np.asarray(store["au_occurrence"][:, columns])
        coded = (self.target >= 0).any(axis=1)
        self.rows = {part: np.flatnonzero(split.mask(store.rows["subject"], part) & coded) for part in splits.PARTS}
        for part, rows in self.rows.items():
            if not len(rows):
                raise UserError(f"{store.folder}: no frame of the {part} people of {split.name} has a coded AU")
        self._order: tuple[int, Array] = (-1, np.empty(0, np.int64))  # the epoch's order, drawn once
        hashes = ",".join(store.clips["content_hash"].astype(str))
        self.fingerprint = hashlib.sha256(f"{hashes};{split.hash};{split.name}".encode()).hexdigest()[:16]

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches that hold each training frame once; an incomplete last one is left out."""
        return max(1, len(self.rows["train"]) // batch_size)

    def training_batch(self, epoch: int, step: int, batch_size: int) -> Batch:
        """Frames of the training people in a new order each epoch, cropped at random and flipped by chance."""
        if self._order[0] != epoch:
            self._order = (epoch, generator(self.seed, "order", epoch).permutation(self.rows["train"]))
        order = self._order[1]
        chosen = order[np.arange(step * batch_size, (step + 1) * batch_size) % len(order)]
        rng = generator(self.seed, "augment", epoch, step)
        offset = rng.integers(0, self.aligned_px - self.config.image_px + 1, size=(batch_size, 2))
        flip = rng.random(batch_size) < 0.5 if self.config.flip else np.zeros(batch_size, bool)
        return self.batch(chosen, offset, flip)

    def batches(self, part: splits.Part, batch_size: int, limit: int = 0) -> Iterator[Batch]:
        """Central crops of a part's frames in the order of the store; at most about ``limit`` evenly spaced ones."""
        rows = self.rows[part][:: max(1, -(-len(self.rows[part]) // limit))] if limit else self.rows[part]
        for start in range(0, len(rows), batch_size):
            yield self.central(rows[start : start + batch_size])

    def central(self, rows: Array) -> Batch:
        """The central crops of store rows (B,), not flipped."""
        return self.batch(rows, *self._middle(rows))

    def central_faces(self, rows: Array) -> Array:
        """(B, l, l, 3) uint8 RGB: the same crops as a reader should see them."""
        return self._crops(rows, *self._middle(rows))

    def _middle(self, rows: Array) -> tuple[Array, Array]:
        margin = (self.aligned_px - self.config.image_px) // 2
        return np.full((len(rows), 2), margin), np.zeros(len(rows), bool)

    def batch(self, rows: Array, offset: Array, flip: Array) -> Batch:
        """Crop faces and move their landmarks along.

        Args:
            rows: (B,) rows of the store.
            offset: (B, 2) px, x and y of the crop's corner in the aligned face.
            flip: (B,) bool, mirror the crop.
        """
        size, scale = self.config.image_px, self.aligned_px / self.stored_px
        crops = self._crops(rows, offset, flip)
        window = self.config.contrast_px
        image = local_contrast(crops, window) if window else crops.astype(np.float32) / 127.5 - 1
        points = (np.asarray(self.store["landmarks_68"][rows]) + 0.5) * scale - 0.5  # a copy: the store stays as it is
        landmarks = reduce_points(points, self.config.land_num) - offset[:, None]
        landmarks = np.where(flip[:, None, None], flip_landmarks(landmarks, size), landmarks)
        return {
            "image": torch.from_numpy(image).permute(0, 3, 1, 2).contiguous(),
            "landmarks": torch.from_numpy(landmarks.astype(np.float32)),
            "biocular": torch.from_numpy(np.asarray(self.store["biocular_px"][rows], np.float32) * np.float32(scale)),
            "au_occurrence": torch.from_numpy(self.target[rows].astype(np.float32)),
            "row": torch.tensor(rows),
        }

    def _crops(self, rows: Array, offset: Array, flip: Array) -> Array:
        side, size = self.aligned_px, self.config.image_px
        crops: Array = np.empty((len(rows), size, size, 3), np.uint8)
        for i, (row, (x, y)) in enumerate(zip(rows, offset, strict=True)):
            face = self.store["face"][row]
            if side != self.stored_px:
                face = cv2.resize(np.asarray(face), (side, side), interpolation=cv2.INTER_AREA)
            crop = face[y : y + size, x : x + size]
            crops[i] = crop[:, ::-1] if flip[i] else crop
        return crops

    def occurrence_rate(self) -> Tensor:
        """(A,) share of the training people's coded frames in which an AU is present, at least one frame's share."""
        target = self.target[self.rows["train"]]
        coded = np.maximum((target >= 0).sum(axis=0), 1)
        return torch.from_numpy(np.maximum((target > 0).sum(axis=0), 1) / coded).float()

    def mean_shape(self) -> Tensor:
        """(K, 2) px of the central crop: the mean landmarks of the training people."""
        rows = self.rows["train"]
        total, count = np.zeros((self.config.land_num, 2)), np.zeros((self.config.land_num, 2))
        for start in range(0, len(rows), 4096):
            points = self.store["landmarks_68"][rows[start : start + 4096]]
            points = reduce_points(
                (np.asarray(points) + 0.5) * (self.aligned_px / self.stored_px) - 0.5, self.config.land_num
            )
            total += np.nansum(points, axis=0)
            count += (~np.isnan(points)).sum(axis=0)
        margin = (self.aligned_px - self.config.image_px) // 2
        return torch.from_numpy(total / np.maximum(count, 1) - margin).float()

    def validate(self, system: System, batch_size: int) -> dict[str, float]:
        """F1, Accuracy, and NME or local F1 where the system has them, on the validation people."""
        table = self.table(system, "validation", batch_size, self.config.validation_frames)
        aus = self.config.aus
        target = _matrix(table, aus, "occurrence")
        counts = confusion(_matrix(table, aus, "probability"), target).sum(axis=0)
        scores = {"F1": float(macro(f1(counts))), "Accuracy": float(macro(accuracy(counts)))}
        if _column(aus[0], "local_probability") in table:
            local = confusion(_matrix(table, aus, "local_probability"), target).sum(axis=0)
            scores["LocalF1"] = float(macro(f1(local)))
        if table["nme"].notna().any():
            scores["NME"] = float(table["nme"].mean())
        return scores

    def table(self, system: System, part: splits.Part, batch_size: int, limit: int = 0) -> pd.DataFrame:
        """Predictions and targets of a part's frames, one row a frame."""
        device = next(iter(system.state_dict().values())).device
        pieces = []
        with torch.inference_mode():
            for batch in self.batches(part, batch_size, limit):
                prediction = system.predict({name: value.to(device) for name, value in batch.items()})
                pieces.append(_rows(batch, prediction, self.config.aus))
        table = pd.concat(pieces, ignore_index=True)
        about = self.store.rows.loc[table.pop("row"), ["clip_id", "frame", "time_s", "subject"]].reset_index(drop=True)
        return pd.concat([about, table], axis=1)


CONTRAST_FLOOR = 0.02
"""Added to the local standard deviation, where 2 is the step from black to white: flat skin stays quiet."""


def local_contrast(faces: Array, window: int) -> Array:
    """Each colour less its local mean, divided by the local standard deviation that the three colours share.

    Takes away the level of light and shadow, which a network otherwise learns to overlook from many people only.

    Args:
        faces: (B, l, l, 3) uint8.
        window: side of the square around a pixel, px, odd.

    Returns:
        (B, l, l, 3) float32, about -3..3.
    """
    out = np.empty(faces.shape, np.float32)
    for i, face in enumerate(faces):
        colour = face.astype(np.float32) / 127.5 - 1
        centred = colour - cv2.blur(colour, (window, window))
        variance = cv2.blur((centred * centred).mean(axis=2), (window, window))
        out[i] = centred / (np.sqrt(variance) + CONTRAST_FLOOR)[..., None]
    return out


def _column(au: int, kind: str) -> str:
    return f"au{au:02d}_{kind}"


def _matrix(table: pd.DataFrame, aus: Sequence[int], kind: str) -> Array:
    """(N, A) array of the columns of a kind."""
    return table[[_column(au, kind) for au in aus]].to_numpy(np.float64)


def _rows(batch: Batch, prediction: Prediction, aus: Sequence[int]) -> pd.DataFrame:
    columns: dict[str, Array] = {"row": batch["row"].numpy()}
    kinds = {"probability": prediction.au_probability, "local_probability": prediction.local_probability}
    for kind, values in kinds.items():
        if values is not None:
            array = values.float().cpu().numpy()
            columns |= {_column(au, kind): array[:, i] for i, au in enumerate(aus)}
    target = batch["au_occurrence"].numpy()
    columns |= {_column(au, "occurrence"): target[:, i].astype(np.int8) for i, au in enumerate(aus)}
    columns["nme"] = np.full(len(target), np.nan, np.float32)
    if prediction.landmarks is not None:
        points = prediction.landmarks.float().cpu()
        columns["nme"] = normalised_mean_error(points, batch["landmarks"], batch["biocular"]).numpy()
    return pd.DataFrame(columns)


class ActionUnits(Family):
    """See the module's docstring."""

    name = "action_units"

    def folds(self, experiment: Experiment) -> list[Fold]:
        """The folds of the protocol over the people that the crops store has."""
        clips = read_frame(experiment.tables / "clips.parquet")
        store = open_store(experiment.features)
        return [
            AuFold(store, split, experiment.config, experiment.seed)
            for split in splits.protocol(experiment.protocol, clips)
        ]

    def predict(self, system: System, fold: Fold, batch_size: int) -> pd.DataFrame:
        """Every coded frame of the test people."""
        assert isinstance(fold, AuFold)
        return fold.table(system, "test", batch_size)

    def score(self, predictions: pd.DataFrame, folds: Sequence[Fold], experiment: Experiment) -> Evaluation:
        """F1, Accuracy, ECE per AU and mean; NME, FailureRate and LocalF1 where there are landmarks or local heads."""
        aus, config = experiment.config.aus, experiment.config
        scored = [
            (name, *resample(sums, formula, experiment.seed)) for name, sums, formula in _metrics(predictions, aus)
        ]
        paper = experiment.card.paper_values.get(experiment.dataset, {})
        split_hash = "+".join(fold.split_hash for fold in folds)
        n = predictions["subject"].nunique()
        rows = []
        for name, value, samples in scored:
            low, high = interval(samples)
            names = [f"{name}/AU{au:02d}" for au in config.aus] if value.ndim else [name]
            for i, metric in enumerate(names):
                rows.append(
                    ResultRow(
                        system=experiment.card.key,
                        family=self.name,
                        dataset=experiment.dataset,
                        protocol=experiment.protocol,
                        metric=metric,
                        value=float(value.flat[i]),
                        low=float(low.flat[i]),
                        high=float(high.flat[i]),
                        n=n,
                        judge="",
                        split_hash=split_hash,
                        paper_value=paper.get(metric, NAN),
                    )
                )
        metrics = {row.metric: row.value for row in rows if "/" not in row.metric}
        first = ["dataset", "clip_id", "frame", "time_s", "subject", "fold"]
        ordered = predictions[first + [column for column in predictions if column not in first]]
        replicates = {name: samples for name, value, samples in scored if not value.ndim}
        return Evaluation(ordered, rows, metrics, replicates, _without_positives(predictions, config.aus))

    def pictures(self, system: System, fold: Fold, experiment: Experiment, folder: Path) -> dict[str, str]:
        """For several test people: decisions, and where the system has them, attention maps and landmarks."""
        assert isinstance(fold, AuFold)
        where = f"synthetic people ({experiment.dataset})" if experiment.synthetic else experiment.dataset
        batch = fold.central(_shown_rows(fold))
        device = next(iter(system.state_dict().values())).device
        with torch.inference_mode():
            prediction = system.predict({name: value.to(device) for name, value in batch.items()})
        faces = fold.central_faces(batch["row"].numpy())
        occurrence, aus = batch["au_occurrence"].numpy(), fold.config.aus
        key, captions = experiment.card.key, {}
        if prediction.attention is not None and prediction.predefined is not None:
            drawn, refined = (maps.float().cpu().numpy() for maps in (prediction.predefined, prediction.attention))
            sheet = attention_sheet(faces, aus, occurrence, drawn, refined, f"{key}: attention maps, {where}")
            cv2.imwrite(str(folder / "attention.png"), sheet[..., ::-1])
            captions["attention.png"] = (
                "Attention maps of unseen people, one column an action unit: above as drawn around the predicted"
                f" landmarks, below as refined by the network (colour 0..1; green: the AU is present). {where}."
            )
        if prediction.landmarks is not None:
            points, truth = prediction.landmarks.float().cpu(), batch["landmarks"]
            error = normalised_mean_error(points, truth, batch["biocular"])
            title = f"{key}: landmarks, {where}"
            sheet = landmark_sheet(faces, points.numpy(), truth.numpy(), error.numpy(), title)
            cv2.imwrite(str(folder / "landmarks.png"), sheet[..., ::-1])
            captions["landmarks.png"] = (
                "Landmarks of unseen people: predicted (green) and true (white), with the error as a share of the eye"
                f" distance. {where}."
            )
        people = fold.store.rows["subject"].iloc[batch["row"].numpy()].astype(str).tolist()
        probability = prediction.au_probability.float().cpu().numpy()
        sheet = decision_sheet(faces, people, aus, occurrence, probability, f"{key}: decisions, {where}")
        cv2.imwrite(str(folder / "people.png"), sheet[..., ::-1])
        captions["people.png"] = (
            "Unseen people, the frame of each with most action units: found (green), missed (grey), false alarm (red)."
            f" {where}."
        )
        return captions


Formula = Callable[[Array], Array]


def _metrics(predictions: pd.DataFrame, aus: Sequence[int]) -> list[tuple[str, list[Array], Formula]]:
    """Each metric as its name, its sums over subjects fold by fold, and its formula on them."""
    counts, local, bins, errors, failures = [], [], [], [], []
    has_local = _column(aus[0], "local_probability") in predictions
    for _, part in predictions.groupby("fold", sort=True):
        subject = pd.factorize(part["subject"])[0]
        probability, target = _matrix(part, aus, "probability"), _matrix(part, aus, "occurrence")
        counts.append(confusion(probability, target, subject))
        bins.append(reliability(probability, target, subject))
        if has_local:
            local.append(confusion(_matrix(part, aus, "local_probability"), target, subject))
        nme = part["nme"].to_numpy(np.float64)
        known = ~np.isnan(nme)
        errors.append(group_sums(np.stack([np.where(known, nme, 0), known], axis=1), subject))
        failures.append(group_sums(np.stack([failed(nme), known], axis=1), subject))

    def ratio(sums: Array) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(sums[..., 0] / sums[..., 1])

    metrics: list[tuple[str, list[Array], Formula]] = [
        ("F1", counts, lambda sums: macro(f1(sums))),
        ("Accuracy", counts, lambda sums: macro(accuracy(sums))),
        ("ECE", bins, lambda sums: macro(ece(sums))),
        ("NME", errors, ratio),
        ("FailureRate", failures, ratio),
    ]
    if has_local:
        metrics.append(("LocalF1", local, lambda sums: macro(f1(sums))))
    metrics += [("F1", counts, f1), ("Accuracy", counts, accuracy), ("ECE", bins, ece)]
    return metrics


def _without_positives(predictions: pd.DataFrame, aus: Sequence[int]) -> tuple[str, ...]:
    """A sentence for each fold in which an AU is never present: its F1 has no value and leaves the mean."""
    warnings = []
    for fold, part in predictions.groupby("fold", sort=True):
        absent = [f"AU{au}" for au in aus if not (part[_column(au, "occurrence")] > 0).any()]
        if absent:
            warnings.append(f"{', '.join(absent)} never present in test fold {fold}: no F1, left out of the mean")
    return tuple(warnings)


_SHOWN_PEOPLE = 8


def _shown_rows(fold: AuFold) -> Array:
    """One test frame of each of several people: the one with the most AUs."""
    rows = fold.rows["test"]
    present = (fold.target[rows] > 0).sum(axis=1)
    people = pd.DataFrame({"row": rows, "present": present, "subject": fold.store.rows["subject"].to_numpy()[rows]})
    busiest = (
        people.sort_values(["subject", "present", "row"], ascending=[True, False, True]).groupby("subject").head(1)
    )
    return busiest["row"].to_numpy()[:: max(1, len(busiest) // _SHOWN_PEOPLE)][:_SHOWN_PEOPLE]


FAMILY = ActionUnits()
