"""Miniature data sets in the true on-disk formats, and small recordings, written by the tests that need them."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import h5py
import numpy as np
import numpy.typing as npt
import scipy.io

OCC_HEADER = (0, 1, 2, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 27, 28, 29)
"""First line of an occurrence file: the frame number's column is named 0; more AUs than the tables keep."""


def picture(number: int, width: int = 48, height: int = 36) -> npt.NDArray[np.uint8]:
    """A flat picture whose red channel tells the number (lossy codecs keep it within a few levels)."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0] = 10 * (number % 24) + 5
    rgb[..., 1] = 128
    return rgb


def write_picture(path: Path, rgb: npt.NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])


def write_video(
    path: Path,
    frames: Sequence[npt.NDArray[np.uint8]],
    fps: int = 25,
    *,
    codec: str = "libx264",
    pts_ms: Sequence[int] | None = None,
    tone_hz: float | None = None,
    sample_rate_hz: int = 44_100,
) -> None:
    """Encode a video; ``pts_ms`` makes its rate variable, ``tone_hz`` adds a sound of the same length."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if pts_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=sample_rate_hz, layout="mono") if tone_hz else None
        for number, rgb in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            if pts_ms is not None:
                frame.pts, frame.time_base = pts_ms[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            times = np.arange(round(len(frames) / fps * sample_rate_hz)) / sample_rate_hz
            samples = (0.5 * np.sin(2 * np.pi * tone_hz * times)).astype(np.float32)[None]
            frame_of_sound = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame_of_sound.sample_rate, frame_of_sound.pts = sample_rate_hz, 0
            container.mux(sound.encode(frame_of_sound))
            container.mux(sound.encode(None))


def write_wav(path: Path, samples: npt.NDArray[np.float64], sample_rate_hz: int = 16_000) -> None:
    """16-bit wav; ``samples`` (S,) or (S, channels) in -1..1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(sample_rate_hz)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


def cut(path: Path, share: float) -> None:
    """Keep the first part of a file, as a broken copy does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def points_49(shift: float = 0.0) -> npt.NDArray[np.float32]:
    """49 tracked points, MATLAB pixels from 1: point k at (5 + k / 2 + shift, 10 + k / 4)."""
    k = np.arange(49, dtype=np.float32)
    return np.stack([5 + k / 2 + shift, 10 + k / 4], axis=1)


def write_codes(
    path: Path, rows: Iterable[tuple[int, dict[int, int]]], *, header: Sequence[int] = OCC_HEADER, newline: str = "\n"
) -> None:
    """An occurrence file: (frame, {AU: code}), other AUs 0."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [",".join(map(str, header))]
    for frame, codes in rows:
        lines.append(",".join(str(frame if au == 0 else codes.get(au, 0)) for au in header))
    path.write_bytes((newline.join(lines) + newline).encode())


def write_intensities(path: Path, rows: Iterable[tuple[int, int]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{frame},{code}\n" for frame, code in rows))


def write_tracked(path: Path, records: Sequence[npt.NDArray[np.float32] | None]) -> None:
    """MATLAB v7.3 as the tracker saved it: struct array ``fit`` whose field ``pred`` holds one 2 x 49 array a record.

    A struct array becomes an HDF5 group with one data set of references a field; MATLAB's column order turns 2 x 49
    into 49 x 2; an empty array is stored as its size, marked by the attribute MATLAB_empty.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as file:
        fit, store = file.create_group("fit"), file.create_group("#refs#")
        references = np.empty((len(records), 1), h5py.ref_dtype)
        for index, record in enumerate(records):
            if record is None:
                item = store.create_dataset(f"r{index}", data=np.zeros(2, np.uint64))
                item.attrs["MATLAB_empty"] = np.uint8(1)
            else:
                item = store.create_dataset(f"r{index}", data=record.astype(np.float64))
            item.attrs["MATLAB_class"] = np.bytes_("double")
            references[index, 0] = item.ref
        fit.create_dataset("pred", data=references, dtype=h5py.ref_dtype)


def write_bp4d(root: Path) -> None:
    """Two people; F001 without T2 codes' twin, numbers of 3 and 4 digits, gaps, 9s, CRLF, empty tracker records.

    F001/T1: pictures 0078..0089 without 0083 (a gap of pictures and codes), codes 78..87; M002/T1: 001..006;
    M002/T3 has no codes; F001 has no T3.
    """
    numbers = [n for n in range(78, 90) if n != 83]
    for number in numbers:
        write_picture(root / "F001/T1" / f"{number:04d}.jpg", picture(number))
    coded = [n for n in numbers if n <= 87]
    write_codes(
        root / "AUCoding/AU_OCC/F001_T1.csv",
        [(n, {1: 1, 2: 9, 6: int(n % 2), 12: 9 if n == 80 else 1}) for n in coded],
        newline=" \r\n",
    )
    write_intensities(root / "AUCoding/AU_INT/AU06/F001_T1_AU06.csv", [(n, 9 if n == 79 else n % 6) for n in coded])
    records = [None if n in (79, 88) else points_49(n - 78) for n in range(78, 90)]
    write_tracked(root / "2DFeatures/F001_T1.mat", records)
    for number in range(1, 7):
        write_picture(root / "M002/T1" / f"{number:03d}.jpg", picture(number))
        write_picture(root / "M002/T3" / f"{number:03d}.jpg", picture(number))
    write_codes(root / "AUCoding/AU_OCC/M002_T1.csv", [(n, {17: 1}) for n in range(1, 7)])
    write_tracked(root / "2DFeatures/M002_T1.mat", [points_49() for _ in range(6)])


DISFA_UNITS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)


def write_disfa(root: Path) -> None:
    """SN001 with 12 frames and a missing landmark file; SN021 short: 12 frames of video, labels for 5."""
    for subject, labelled in (("SN001", 12), ("SN021", 5)):
        video = root / f"Video_LeftCamera/LeftVideo{subject}_comp.avi"
        write_video(video, [picture(n) for n in range(12)], 20, codec="mpeg4")
        write_video(root / f"Video_RightCamera/RightVideo{subject}_comp.avi", [picture(0)] * 3, 20, codec="mpeg4")
        for au in DISFA_UNITS:
            path = root / f"ActionUnit_Labels/{subject}/{subject}_au{au}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"{n},{(n + au) % 6 if au in (12, 25) else 0} \r\n" for n in range(1, labelled + 1)]
            path.write_bytes("".join(lines).encode())
        for number in range(12):
            if number == 3:
                continue
            k = np.arange(66)
            points = np.stack([1 + k / 2 + number, 1 + k / 4], axis=1)
            path = root / f"Landmark_Points/{subject}/tmp_frame_lm/{subject}_{number:04d}_lm.mat"
            path.parent.mkdir(parents=True, exist_ok=True)
            scipy.io.savemat(path, {"pts": points})
