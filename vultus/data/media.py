"""Decoding of videos, pictures, folders of numbered pictures and sound.

Videos and sound go through PyAV, with the time stamps of the file; pictures through OpenCV. Every picture comes out as
(height, width, 3) uint8 RGB, upright (EXIF orientation and the video's display matrix are applied), grey pictures as
three equal channels, transparent ones over mid grey. Decoding uses one thread: the callers run one process a core.

The clock of a file starts with its first video frame; sound is padded or cut so that sample 0 lies there too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vultus.core.errors import UserError

RGB = npt.NDArray[np.uint8]
"""(H, W, 3) uint8."""

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp"})
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"})
SOUND_SUFFIXES = frozenset({".wav", ".flac", ".mp3", ".m4a", ".ogg", ".opus", ".aac", ".aif", ".aiff"})

MediaKind = Literal["video", "picture", "pictures", "sound"]

PICTURES_FPS = 25.0
"""Frame rate assumed for a folder of numbered pictures, which carries none."""

_TRANSPARENT_OVER = 128
_SOUND_GRACE_S = 0.5
_COPY_AGAIN = "copy the file again from its source"


class MediaError(UserError):
    """A media file cannot be decoded: one sentence with the file, the reason and the cure."""

    def __init__(self, path: Path, reason: str, cure: str) -> None:
        super().__init__(f"{path} {reason}: {cure}")
        self.path, self.reason, self.cure = path, reason, cure

    def __reduce__(self) -> tuple[type[MediaError], tuple[Path, str, str]]:
        return type(self), (self.path, self.reason, self.cure)


@dataclass(frozen=True)
class MediaInfo:
    """What a media file says of itself; None for what it does not have.

    Attributes:
        kind: video, picture, pictures (a folder) or sound.
        width: px, upright.
        height: px, upright.
        fps: mean frame rate, 1/s; None for pictures.
        n_frames: frames in the file, or pictures in the folder; 1 for a picture.
        duration: seconds; of the video where there is one, else of the sound.
        sample_rate: Hz, as stored.
    """

    kind: MediaKind
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    n_frames: int | None = None
    duration: float | None = None
    sample_rate: int | None = None


def kind_of(path: Path | str) -> MediaKind | None:
    """The kind of media by suffix; a folder is ``pictures``; None for a file that is no media."""
    path = Path(path)
    if path.is_dir():
        return "pictures"
    suffix = path.suffix.lower()
    kinds: tuple[tuple[frozenset[str], MediaKind], ...] = (
        (VIDEO_SUFFIXES, "video"),
        (PICTURE_SUFFIXES, "picture"),
        (SOUND_SUFFIXES, "sound"),
    )
    return next((kind for suffixes, kind in kinds if suffix in suffixes), None)


def probe(path: Path | str) -> MediaInfo:
    """Read sizes and rates from the headers, without decoding more than one picture.

    Raises:
        MediaError: the file is missing, empty, or not the media its name says.
    """
    path = Path(path)
    kind = _kind_or_error(path)
    if kind == "picture":
        height, width = read_picture(path).shape[:2]
        return MediaInfo("picture", width, height, n_frames=1)
    if kind == "pictures":
        numbered = numbered_pictures(path)
        height, width = read_picture(numbered[min(numbered)]).shape[:2]
        return MediaInfo("pictures", width, height, n_frames=len(numbered))
    if kind == "sound":
        with _open_av(path) as container:
            stream = _stream(container, path, "audio")
            return MediaInfo("sound", duration=_sound_duration_s(container, stream), sample_rate=stream.rate)
    return open_video(path).info


def read_frames(
    path: Path | str, indices: Collection[int] | None = None, *, fps: float = PICTURES_FPS
) -> Iterator[tuple[int, float, RGB]]:
    """Yield (index, time_s, rgb) of a video, a picture or a folder of numbered pictures, in rising order.

    Memory holds one frame. ``index`` is the 0-based position in a video, the number in the file name in a folder, 0
    for a picture. ``time_s`` is the centre of the frame: (position + 0.5) / fps at constant rate, the exact centre of
    the frame's own duration at variable rate.

    Args:
        path: video, picture, or folder.
        indices: which frames; None for all. Only these are converted to RGB.
        fps: of a folder of pictures or a picture; a video brings its own.

    Raises:
        MediaError: the file cannot be decoded, ends early, or has no such frame.
    """
    path = Path(path)
    kind = _kind_or_error(path)
    if kind == "sound":
        raise MediaError(path, "is a sound file", "give a video, a picture or a folder of numbered pictures")
    if kind == "video":
        yield from open_video(path).frames(indices)
        return
    numbered = {0: path} if kind == "picture" else numbered_pictures(path)
    wanted = sorted(numbered) if indices is None else sorted(set(indices))
    missing = next((index for index in wanted if index not in numbered), None)
    if missing is not None:
        raise MediaError(path, f"has no picture number {missing}", "correct the frame number or restore the picture")
    first = min(numbered)
    for index in wanted:
        yield index, (index - first + 0.5) / fps, read_picture(numbered[index])


def read_picture(path: Path | str) -> RGB:
    """Decode one picture: (H, W, 3) uint8 RGB, upright.

    Raises:
        MediaError: the file is missing, empty, cut off, or no picture.
    """
    import cv2

    path = Path(path)
    data = _read_bytes(path)
    is_jpeg, is_png = data[:2] == b"\xff\xd8", data[:8] == b"\x89PNG\r\n\x1a\n"
    if (is_jpeg and b"\xff\xd9" not in data[-4096:]) or (is_png and b"IEND" not in data[-4096:]):
        raise MediaError(path, "ends before the picture does", _COPY_AGAIN)
    buffer = np.frombuffer(data, np.uint8)
    try:
        decoded = None if is_jpeg else cv2.imdecode(buffer, cv2.IMREAD_UNCHANGED)
        if decoded is not None and decoded.ndim == 3 and decoded.shape[2] == 4:
            return _over_grey(decoded)
        # IMREAD_COLOR_RGB turns by EXIF, widens grey and narrows 16 bit.
        rgb = cv2.imdecode(buffer, cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        rgb = None
    if rgb is None:
        raise MediaError(
            path,
            f"is not a picture (it starts with {data[:8]!r})",
            "replace it with the real file or give it its true suffix",
        )
    return np.asarray(rgb, np.uint8)


def numbered_pictures(folder: Path | str) -> dict[int, Path]:
    """Number in the file name -> picture, of a folder such as ``0078.jpg``; in rising order.

    The number is the last run of digits of the name, so that zero padding of any width and prefixes are understood.

    Raises:
        MediaError: the folder is missing, has no numbered picture, or two with one number.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MediaError(folder, "is missing", "restore the folder or correct its path")
    numbered: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        digits = re.findall(r"\d+", path.stem)
        if path.suffix.lower() not in PICTURE_SUFFIXES or not digits:
            continue
        number = int(digits[-1])
        if number in numbered:
            raise MediaError(folder, f"holds {numbered[number].name} and {path.name}", "keep one picture a number")
        numbered[number] = path
    if not numbered:
        raise MediaError(folder, "holds no numbered picture", "name the pictures by their frame number, as 0078.jpg")
    return dict(sorted(numbered.items()))


def read_audio(path: Path | str, sample_rate_hz: int = 16_000) -> npt.NDArray[np.float32]:
    """The sound of a file as mono float32 in -1..1.

    Channels are averaged and resampled by FFmpeg's polyphase filter. Sound of a video starts at its first frame: what
    was recorded before is cut, what is missing is silence.

    Args:
        path: sound file, or video with sound.
        sample_rate_hz: of the result.

    Returns:
        (S,) float32.

    Raises:
        MediaError: the file is missing, empty, no sound, without sound, or not finite.
    """
    import av

    path = Path(path)
    pieces: list[npt.NDArray[np.float32]] = []
    start_s = 0.0
    with _open_av(path) as container:
        stream = _stream(container, path, "audio")
        stream.codec_context.thread_count = 1
        # The channels are averaged here: FFmpeg's own mix to mono would raise the level of two equal ones.
        resampler = av.AudioResampler(format="fltp", rate=sample_rate_hz)
        video = container.streams.video[0] if container.streams.video else None
        zero_s = float(video.start_time * video.time_base) if video is not None and video.start_time else 0.0
        try:
            for frame in container.decode(stream):
                if not pieces and video is not None:
                    start_s = float(frame.time or 0.0)
                frame.pts = None  # the resampler counts samples
                pieces.extend(piece.to_ndarray().mean(axis=0) for piece in resampler.resample(frame))
            pieces.extend(piece.to_ndarray().mean(axis=0) for piece in resampler.resample(None))
        except av.error.FFmpegError as error:
            raise MediaError(path, f"cannot be decoded ({_reason(error)})", _COPY_AGAIN) from None
        declared_s = _sound_duration_s(container, stream)
    samples = np.concatenate(pieces).astype(np.float32, copy=False) if pieces else np.zeros(0, np.float32)
    if not len(samples):
        raise MediaError(path, "holds no sound", "record it again or leave the clip out")
    if not np.isfinite(samples).all():
        raise MediaError(path, "holds samples that are not numbers", "export the sound again")
    if len(samples) < (declared_s - _SOUND_GRACE_S) * sample_rate_hz:
        reason = f"ends after {len(samples) / sample_rate_hz:.2f} of {declared_s:.2f} s"
        raise MediaError(path, reason, _COPY_AGAIN)
    np.clip(samples, -1.0, 1.0, out=samples)  # lossy codecs overshoot; a player clips as well
    lead = round((start_s - zero_s) * sample_rate_hz)
    return np.concatenate([np.zeros(lead, np.float32), samples]) if lead > 0 else samples[-lead:]


def open_video(path: Path | str) -> Video:
    """Read the headers and the first frame of a video file.

    Raises:
        MediaError: the file is missing, empty, no video, or without a picture stream.
    """
    import av

    path = Path(path)
    try:
        with _open_av(path) as container:
            stream = _stream(container, path, "video")
            rate = stream.average_rate or stream.guessed_rate
            declared = int(stream.frames)
            sound = container.streams.audio[0].rate if container.streams.audio else None
            first = next(container.decode(stream), None)
        if first is None:
            raise MediaError(path, "holds no picture", "record it again or leave the clip out")
        width, height = first.width, first.height
        n_frames = declared
        if not n_frames:  # MPEG program streams carry no frame count, but one packet a frame
            with _open_av(path) as container:
                n_frames = sum(packet.size > 0 for packet in container.demux(container.streams.video[0]))
    except av.error.FFmpegError as error:
        raise MediaError(path, f"cannot be decoded ({_reason(error)})", _COPY_AGAIN) from None
    if first.rotation % 180:
        width, height = height, width
    fps = float(rate) if rate else None
    info = MediaInfo("video", width, height, fps, n_frames, n_frames / fps if fps else None, sound)
    return Video(path, info, declared)


@dataclass(frozen=True)
class Video:
    """A video file. ``declared_frames`` is the count in its header, 0 where the format has none."""

    path: Path
    info: MediaInfo
    declared_frames: int

    def frames(self, indices: Collection[int] | None = None) -> Iterator[tuple[int, float, RGB]]:
        """Yield (position, time_s, rgb) in rising order, decoding from the first frame; see `read_frames`.

        Raises:
            MediaError: the file cannot be decoded, ends early, or has no such frame.
        """
        wanted = None if indices is None else set(indices)
        if wanted is not None and not wanted:
            return
        count = 0
        for index, zero_pts, frame in self._decoded():
            count = index + 1
            if wanted is None or index in wanted:
                rgb = _upright(frame.to_ndarray(format="rgb24"), frame.rotation)
                yield index, self._centre_s(index, frame, zero_pts), rgb
            if wanted is not None and index == max(wanted):
                return
        if wanted is not None:
            reason = f"has {count} frames and none at position {max(wanted)}"
            raise MediaError(self.path, reason, "correct the frame number or restore the file")

    def count_frames(self) -> int:
        """Decode the whole file, without converting colours, and count its frames.

        Raises:
            MediaError: the file cannot be decoded or ends early.
        """
        return sum(1 for _ in self._decoded())

    def _decoded(self) -> Iterator[tuple[int, int, Any]]:
        """Position, time stamp of the first frame, and FFmpeg's frame."""
        import av

        count = 0
        # A fresh container for each pass: seeking back to 0 loses the first frames of an MPEG program stream.
        with _open_av(self.path) as container:
            stream = _stream(container, self.path, "video")
            stream.codec_context.thread_count = 1
            try:
                for frame in container.decode(stream):
                    count += 1
                    yield count - 1, stream.start_time or 0, frame
            except av.error.FFmpegError as error:
                reason = f"cannot be decoded after {count} frames ({_reason(error)})"
                raise MediaError(self.path, reason, _COPY_AGAIN) from None
        # One frame of grace: some muxers count a frame that an edit list then hides.
        if count + 1 < self.declared_frames:
            raise MediaError(self.path, f"ends after {count} of {self.declared_frames} frames", _COPY_AGAIN)

    def _centre_s(self, index: int, frame: Any, zero_pts: int) -> float:
        fps = self.info.fps or PICTURES_FPS
        if frame.pts is None or frame.time_base is None:
            return (index + 0.5) / fps
        half_s = float(frame.duration * frame.time_base) / 2 if frame.duration else 0.5 / fps
        return float((frame.pts - zero_pts) * frame.time_base) + half_s


def _kind_or_error(path: Path) -> MediaKind:
    kind = kind_of(path)
    if kind is None:
        raise MediaError(path, "is no video, picture or sound by its suffix", "convert it to mp4, png or wav")
    return kind


def _read_bytes(path: Path, count: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(count)
    except FileNotFoundError:
        raise MediaError(path, "is missing", "restore the file or correct its path") from None
    except OSError as error:
        raise MediaError(path, f"cannot be read ({error.strerror})", "check the file and its permissions") from None
    if not data:
        raise MediaError(path, "is empty (0 bytes)", _COPY_AGAIN)
    return data


def _open_av(path: Path) -> Any:
    import av

    _read_bytes(path, count=1)
    try:
        return av.open(str(path))
    except av.error.FFmpegError as error:
        raise MediaError(
            path,
            f"cannot be opened ({_reason(error)})",
            "copy the file again from its source or give it its true suffix",
        ) from None


def _stream(container: Any, path: Path, kind: Literal["video", "audio"]) -> Any:
    streams = getattr(container.streams, kind)
    if not streams:
        raise MediaError(
            path, f"has no {'picture' if kind == 'video' else 'sound'}", "leave it out or add the other file"
        )
    if streams[0].codec_context is None:
        raise MediaError(path, "does not say how it is coded", _COPY_AGAIN)
    return streams[0]


def _sound_duration_s(container: Any, stream: Any) -> float:
    """Length by the header, 0 if it does not say."""
    duration_s = float(stream.duration * stream.time_base) if stream.duration else (container.duration or 0) / 1e6
    if container.format.name == "wav" and stream.codec_context.name.startswith("pcm"):
        # FFmpeg goes by the size of the file, which hides that a copy broke off; the header knows what should follow.
        path = Path(container.name)
        riff_bytes = int.from_bytes(_read_bytes(path, count=8)[4:8], "little")
        if riff_bytes < 0xFFFFFFFF:
            absent = max(0, riff_bytes + 8 - path.stat().st_size)
            duration_s += absent / (stream.rate * stream.channels * stream.codec_context.format.bytes)
    return duration_s


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).lower()


def _upright(rgb: RGB, rotation_degrees: int) -> RGB:
    turns = round(rotation_degrees / 90) % 4
    return np.ascontiguousarray(np.rot90(rgb, turns)) if turns else rgb


def _over_grey(bgra: npt.NDArray[Any]) -> RGB:
    peak = np.iinfo(bgra.dtype).max
    colour = bgra[..., 2::-1].astype(np.float32) * (255.0 / peak)
    alpha = bgra[..., 3:].astype(np.float32) / peak
    return np.rint(colour * alpha + _TRANSPARENT_OVER * (1.0 - alpha)).astype(np.uint8)
