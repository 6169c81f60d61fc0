"""au_talker: one still picture and speech become a talking face, driven by sound and by the mouth's action units.

Sen Chen, Zhilei Liu, Jiaxing Liu, Zhengxiang Yan, Longbiao Wang, "Talking Head Generation with Audio and Speech Related
Facial Action Units", BMVC 2021, arXiv 2110.09951. `AudioToAu` hears five action units of the mouth, `AudioEncoder`
hears the sound itself, `IdentityEncoder` sees the picture; their codes go through a GRU, and `ImageDecoder` draws each
frame with the picture's feature maps beside it. `FrameDiscriminator` asks for real frames, `AuClassifier`, taught on
real frames and then frozen, asks for the right action units. Input and output are those of
`vultus.systems.talking_heads.common`.

Where we deviate, and why:

* One optimiser holds generator and discriminator. Both losses are made from the same forward pass with the same
  weights (the discriminator judges detached frames, the generator is judged by detached weights), and Adam treats each
  weight by itself, so that the step is the published one: first the generator's, then the discriminator's.
* Cepstra are standardised by the training people, and positives may be weighed; the paper is silent on both.
* The released Dice of the action units was written for log-probabilities; here it takes probabilities.
* Convolutions and linear layers before a normalisation have no bias: the normalisation would take it away.
* With ``paint_change`` (off in the paper's setting) the decoder draws what is added to the still picture.
* Below 112 px the classifier of action units has smaller strides and more padding, or its last map would vanish.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from vultus.core.loop import TrainConfig
from vultus.core.registry import Card, Claim, register
from vultus.core.system import Batch, Fold, Phase, System
from vultus.losses.adversarial import discriminator_loss, generator_loss
from vultus.losses.au import speech_au_loss
from vultus.systems.talking_heads.common import (
    HEADLINE,
    MFCC_COEFFICIENTS,
    MFCC_STEPS,
    PROTOCOL,
    Prediction,
    TalkingConfig,
    TalkingFold,
)


@dataclass(frozen=True)
class Config(TalkingConfig):
    """Defaults are the paper's sizes: 112 px, sequences of 25 frames."""

    width: float = 1.0
    """Factor on the channels of encoders, decoder, discriminator and classifier."""
    z_dim: int = 512
    """Units of the codes of sound and of identity."""
    au_dim: int = 64
    """Units that each action unit brings to the generator."""
    hidden: int = 1024
    """Units of the GRU."""
    audio_width: float = 1.0
    """Factor on the channels of Audio-to-AU and of its LSTM (128 each way)."""
    shared_trunk: bool = False
    """One Audio-to-AU network with a head for each action unit, in place of one network each."""
    finetune: bool = False
    """Let the generator's losses change Audio-to-AU; otherwise its codes keep meaning action units."""
    use_au_input: bool = True
    """Feed the action units heard to the generator; false: sound and picture alone."""
    au_source: Literal["predicted", "oracle", "shuffled"] = "predicted"
    """``oracle`` feeds true labels (an upper bound), ``shuffled`` the codes of half a sequence later (a control)."""
    use_gru: bool = True
    """False: each frame by itself, through a linear layer."""
    use_frame_disc: bool = True
    lambda_gan: float = 0.002
    lambda_au: float = 0.002
    """Weight of the action unit loss on generated frames; 0 = no classifier."""
    paint_change: bool = False
    """Paint the change of the still picture instead of whole frames: what stands still need not be learnt, which takes
    hours."""
    mouth_weight: float = 1.0
    """Weight of an L1 error inside the mouth's box; 1 = as everywhere."""
    positive_weight_limit: float = 1.0
    """Largest weight of a rare action unit's positives, (1 - r) / r; 1 = the published loss."""
    discriminator_learning_rate: float = 1e-3
    audio_to_au_epochs: int = 20
    classifier_epochs: int = 20
    classifier_learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image_px % 16:
            raise ValueError(f"image_px must be a multiple of 16 (four halvings), not {self.image_px}")

    def channels(self, full: int) -> int:
        """Channels of a layer that has ``full`` in the paper."""
        return max(4, round(full * self.width))

    @property
    def has_audio_to_au(self) -> bool:
        """Whether the generator is told of action units that a network heard."""
        return self.use_au_input and self.au_source != "oracle"


class AudioToAu(nn.Module):
    """Action units from sound alone: five convolutions of a window, a bidirectional LSTM over frames, a head (5.1).

    Args:
        heads: action units that the network answers for: one, or all with a shared trunk.
        au_dim: units of a unit's code.
        width: factor on all channels.
    """

    def __init__(self, heads: int, au_dim: int, width: float) -> None:
        super().__init__()
        sizes = [max(4, round(full * width)) for full in (8, 32, 64, 128, 256)]
        shapes = [((1, 4), (1, 2), None), ((1, 3), (1, 2), None), ((1, 3), (1, 2), (1, 2)),
                  ((3, 1), (2, 1), None), ((3, 1), (2, 1), (2, 1))]  # fmt: skip
        layers: list[nn.Module] = []
        for before, after, (kernel, stride, pool) in zip([1, *sizes], sizes, shapes, strict=False):
            layers.append(nn.Conv2d(before, after, kernel, stride, bias=False))
            if pool:
                layers.append(nn.MaxPool2d(pool))
            layers += [nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        self.window = nn.Sequential(*layers, nn.Flatten())
        memory, middle = max(8, round(128 * width)), max(8, round(128 * width))
        self.over_time = nn.LSTM(sizes[-1], memory, num_layers=2, bidirectional=True, batch_first=True)
        self.codes = nn.ModuleList(
            nn.Sequential(
                nn.Linear(2 * memory, middle), nn.LeakyReLU(0.2), nn.Dropout(0.5),
                nn.Linear(middle, au_dim), nn.LeakyReLU(0.2), nn.Dropout(0.5),
            )
            for _ in range(heads)
        )  # fmt: skip
        self.answers = nn.ModuleList(nn.Linear(au_dim, 1) for _ in range(heads))

    def forward(self, windows: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (B, T, heads * au_dim) and logits (B, T, heads) from windows (B, T, 12, 28) of valid (B, T) frames."""
        per_frame = _over_valid(self.window, windows.unsqueeze(2), valid)
        lengths = valid.sum(1).cpu()
        packed = pack_padded_sequence(per_frame, lengths, batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.over_time(packed)[0], batch_first=True, total_length=valid.shape[1])
        codes = [head(states) for head in self.codes]
        logits = [answer(code) for answer, code in zip(self.answers, codes, strict=True)]
        return torch.cat(codes, dim=2), torch.cat(logits, dim=2)


class AudioEncoder(nn.Module):
    """The sound of a window as a code (5.2): five 3x3 convolutions with batch norm, then two linear layers."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = [config.channels(full) for full in (16, 32, 64, 128, 256)]
        layers: list[nn.Module] = []
        for before, after, stride in zip([1, *sizes], sizes, (1, 2, 1, 1, 2), strict=False):
            layers += [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        flat = sizes[-1] * (MFCC_COEFFICIENTS // 4) * (MFCC_STEPS // 4)
        z = config.z_dim
        self.layers = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(flat, z, bias=False), nn.BatchNorm1d(z), nn.ReLU(), nn.Linear(z, z)
        )

    def forward(self, windows: Tensor) -> Tensor:
        """(n, 1, 12, 28) -> (n, z)."""
        code: Tensor = self.layers(windows)
        return code


class IdentityEncoder(nn.Module):
    """The still picture as a code and four feature maps (5.3); no normalisation."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = [config.channels(full) for full in (16, 32, 64, 128)]
        self.halvings = nn.ModuleList(
            nn.Conv2d(before, after, 5, stride=2, padding=2) for before, after in zip([3, *sizes], sizes, strict=False)
        )
        self.code = nn.Linear(sizes[-1] * (config.image_px // 16) ** 2, config.z_dim)

    def forward(self, picture: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(B, 3, l, l) -> (B, z), and maps of l/2, l/4, l/8, l/16."""
        maps = []
        for halving in self.halvings:
            picture = functional.relu(halving(picture))
            maps.append(picture)
        return self.code(picture.flatten(1)), maps


class ImageDecoder(nn.Module):
    """A frame from the state of the GRU and the picture's maps (5.5); with ``paint_change`` it adds to the picture."""

    def __init__(self, config: Config, state: int) -> None:
        super().__init__()
        self.base = (config.channels(256), config.image_px // 16)
        self.paint_change = config.paint_change
        skips = [config.channels(full) for full in (128, 64, 32, 16)]
        sizes = [config.channels(full) for full in (196, 128, 80, 48)]
        self.unfold = nn.Linear(state, self.base[0] * self.base[1] ** 2)
        self.doublings = nn.ModuleList(
            nn.ConvTranspose2d(before + skip, after, 5, stride=2, padding=2, output_padding=1)
            for before, skip, after in zip([self.base[0], *sizes], skips, sizes, strict=False)
        )
        last = config.channels(16)
        self.paint = nn.Sequential(
            nn.Conv2d(sizes[-1], last, 5, padding=2), nn.ReLU(), nn.Conv2d(last, 3, 5, padding=2)
        )

    def forward(self, state: Tensor, maps: Sequence[Tensor], picture: Tensor) -> Tensor:
        """States (n, H), maps (n, c, s, s), largest first, and the picture (n, 3, l, l) -> frames (n, 3, l, l)."""
        x = functional.relu(self.unfold(state)).reshape(len(state), self.base[0], self.base[1], self.base[1])
        for doubling, skip in zip(self.doublings, reversed(maps), strict=True):
            x = functional.relu(doubling(torch.cat([x, skip], dim=1)))
        painted = torch.tanh(self.paint(x).float())
        return (picture + 2 * painted).clamp(-1, 1) if self.paint_change else painted


class FrameDiscriminator(nn.Module):
    """Logits of "real" for patches of a frame (5.6)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = [config.channels(full) for full in (16, 32, 64, 128)]
        layers: list[nn.Module] = []
        for before, after in zip([3, *sizes], sizes, strict=False):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.InstanceNorm2d(after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(sizes[-1], 1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """(n, 3, l, l) -> (n, 1, l/16, l/16)."""
        logits: Tensor = self.layers(frames)
        return logits


class AuClassifier(nn.Module):
    """Is one action unit present? From the lower half of a frame (5.7).

    From 112 px on the layers are the published ones; below, padding is 2 and only the first convolution halves.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        sizes = [config.channels(full) for full in (16, 32, 64, 128)]
        published = config.image_px >= 112
        padding, strides = (1, (2, 1, 2, 1)) if published else (2, (2, 1, 1, 1))
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(zip([3, *sizes], sizes, strict=False)):
            convolution = nn.Conv2d(before, after, 5, strides[index], padding, bias=False)
            layers += [convolution, nn.InstanceNorm2d(after), nn.LeakyReLU(0.2)]
            if index % 2:
                layers.append(nn.MaxPool2d(2))
        self.maps = nn.Sequential(*layers, nn.Flatten())
        with torch.no_grad():
            flat = self.maps(torch.zeros(1, 3, config.image_px // 2, config.image_px)).shape[1]
        layers, before = [], flat
        for full in (512, 256, 64):
            layers += [nn.Linear(before, config.channels(full)), nn.LeakyReLU(0.2), nn.Dropout(0.5)]
            before = config.channels(full)
        self.answer = nn.Sequential(*layers, nn.Linear(before, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """(n, 3, l, l) -> logits (n, 1)."""
        lower = frames[:, :, frames.shape[2] // 2 :]
        logits: Tensor = self.answer(self.maps(lower))
        return logits


class AuTalker(System):
    """Audio-to-AU, then the classifier, then the generator with its discriminator: a phase each."""

    mfcc_mean: Tensor
    mfcc_scale: Tensor
    positive_weight: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        n, code = len(config.aus), 0
        if config.has_audio_to_au:
            per_network = [n] if config.shared_trunk else [1] * n
            self.audio_to_au = nn.ModuleList(AudioToAu(k, config.au_dim, config.audio_width) for k in per_network)
        if config.use_au_input:
            code = n * config.au_dim
        self.audio = AudioEncoder(config)
        self.identity = IdentityEncoder(config)
        fused = 2 * config.z_dim + code
        self.fusion: nn.Module = (
            nn.GRU(fused, config.hidden, batch_first=True) if config.use_gru else nn.Linear(fused, config.hidden)
        )
        self.decoder = ImageDecoder(config, config.hidden)
        if config.use_frame_disc:
            self.discriminator = FrameDiscriminator(config)
        if config.lambda_au:
            self.classifiers = nn.ModuleList(AuClassifier(config) for _ in range(n))
        self.register_buffer("mfcc_mean", torch.zeros(MFCC_COEFFICIENTS, 1))
        self.register_buffer("mfcc_scale", torch.ones(MFCC_COEFFICIENTS, 1))
        self.register_buffer("positive_weight", torch.ones(n))
        self.phase = "generator"
        self.apply(partial(_initialise, width=config.width))

    def prepare(self, fold: Fold) -> None:
        """Mean and spread of the cepstra, and the rates of the action units, of the training people."""
        assert isinstance(fold, TalkingFold)
        mean, scale = fold.mfcc_statistics()
        self.mfcc_mean.copy_(mean[:, None])
        self.mfcc_scale.copy_(scale[:, None])
        rate = fold.occurrence_rate()
        self.positive_weight.copy_(((1 - rate) / rate).clamp(1.0, max(1.0, self.config.positive_weight_limit)))

    def phases(self, train: TrainConfig) -> Sequence[Phase]:
        """``train`` is the generator's; the two others share its batches and have rates and epochs of their own."""
        phases = []
        if self.config.has_audio_to_au:
            phases.append(Phase("audio_to_au", replace(train, epochs=self.config.audio_to_au_epochs, select="")))
        if self.config.lambda_au:
            classifier = replace(
                train, epochs=self.config.classifier_epochs, learning_rate=self.config.classifier_learning_rate,
                select="",
            )  # fmt: skip
            phases.append(Phase("classifier", classifier))
        return (*phases, Phase("generator", train))

    def begin_phase(self, phase: Phase) -> None:
        """Thaw what the phase trains, freeze the rest."""
        self.phase = phase.name
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(self._trains(name))
        self.train(self.training)

    def train(self, mode: bool = True) -> AuTalker:
        """Frozen parts stay in evaluation mode: no dropout, no moving averages."""
        super().train(mode)
        for name, part in self.named_children():
            if not self._trains(f"{name}."):
                part.eval()
        return self

    def _trains(self, name: str) -> bool:
        part = name.split(".")[0]
        if self.phase == "audio_to_au":
            return part == "audio_to_au"
        if self.phase == "classifier":
            return part == "classifiers"
        return part != "classifiers" and (part != "audio_to_au" or self.config.finetune)

    def draw(self, fold: Fold, phase: Phase, epoch: int, step: int) -> Batch:
        """The classifier learns from single frames of many people; the other phases from sequences."""
        assert isinstance(fold, TalkingFold)
        if phase.name == "classifier":
            n = phase.train.batch_size * self.config.seq_len
            return fold.training_batch(epoch, step, n, length=1)
        return fold.training_batch(epoch, step, phase.train.batch_size)

    def param_groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """The discriminator has a rate of its own."""
        groups: dict[bool, list[nn.Parameter]] = {False: [], True: []}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                groups[name.startswith("discriminator.")].append(parameter)
        rates = {False: learning_rate, True: self.config.discriminator_learning_rate}
        return [{"params": params, "lr": rates[ours]} for ours, params in groups.items() if params]

    def hear(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Codes (B, T, A * au_dim) and logits (B, T, A) of the action units in the sound."""
        windows = (batch["mfcc"] - self.mfcc_mean) / self.mfcc_scale
        codes, logits = zip(*(network(windows, batch["valid"]) for network in self.audio_to_au), strict=True)
        return torch.cat(codes, dim=2), torch.cat(logits, dim=2)

    def au_input(self, batch: Batch) -> Tensor:
        """What the generator is told of the action units, (B, T, A * au_dim)."""
        if self.config.au_source == "oracle":
            labels = batch["au_occurrence"].clamp(min=0)
            return labels.repeat_interleave(self.config.au_dim, dim=2)
        if self.config.finetune:
            codes, _ = self.hear(batch)
        else:
            with torch.no_grad():
                codes, _ = self.hear(batch)
        return codes.roll(codes.shape[1] // 2, dims=1) if self.config.au_source == "shuffled" else codes

    def generate(self, batch: Batch) -> Tensor:
        """Frames (n, 3, l, l) in -1..1 of the n valid frames of a batch, in order."""
        valid = batch["valid"]
        identity, maps = self.identity(batch["identity"])
        windows = (batch["mfcc"] - self.mfcc_mean) / self.mfcc_scale
        heard = _over_valid(self.audio, windows.unsqueeze(2), valid)
        codes = [identity.unsqueeze(1).expand(-1, valid.shape[1], -1), heard]
        if self.config.use_au_input:
            codes.append(self.au_input(batch))
        fused = torch.cat(codes, dim=2)
        states = self.fusion(fused)[0] if self.config.use_gru else functional.relu(self.fusion(fused))
        owner = valid.nonzero()[:, 0]
        frames: Tensor = self.decoder(states[valid], [grid[owner] for grid in maps], batch["identity"][owner])
        return frames

    def classify(self, frames: Tensor) -> Tensor:
        """Logits (n, A) of the action units in frames (n, 3, l, l)."""
        return torch.cat([classifier(frames) for classifier in self.classifiers], dim=1)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Those of the present phase (section 6)."""
        config, valid = self.config, batch["valid"]
        target = batch["au_occurrence"][valid]
        if self.phase == "audio_to_au":
            return {"audio_au": speech_au_loss(self.hear(batch)[1][valid], target, self.positive_weight)}
        real = batch["video"][valid]
        if self.phase == "classifier":
            return {"frame_au": speech_au_loss(self.classify(real), target, self.positive_weight)}
        frames = self.generate(batch)
        weight = 1 + (config.mouth_weight - 1) * batch["mouth"][valid].unsqueeze(1)
        losses = {"reconstruction": ((frames - real).abs() * weight).mean()}
        if config.use_frame_disc:
            fixed = {name: value.detach() for name, value in self.discriminator.named_parameters()}
            judged = functional_call(self.discriminator, fixed, (frames,))
            losses["gan"] = config.lambda_gan * generator_loss(judged)
            losses["discriminator"] = discriminator_loss(self.discriminator(real), self.discriminator(frames.detach()))
        if config.lambda_au:
            losses["au"] = config.lambda_au * speech_au_loss(self.classify(frames), target, self.positive_weight)
        return losses

    def predict(self, batch: Batch) -> Prediction:
        """Frames, and the action units heard; before the generator's phase what the phase teaches alone."""
        valid = batch["valid"]
        heard = _spread(self.hear(batch)[1][valid].sigmoid(), valid) if self.config.has_audio_to_au else None
        if self.phase == "audio_to_au":
            return Prediction(au_from_speech=heard)
        if self.phase == "classifier":
            return Prediction(au_from_truth=_spread(self.classify(batch["video"][valid]).sigmoid(), valid))
        return Prediction(frames=_spread(self.generate(batch), valid), au_from_speech=heard)


def _over_valid(module: nn.Module, values: Tensor, valid: Tensor) -> Tensor:
    """A module over the valid frames, (B, T, ...) -> (B, T, d), zeros at the others: norms never see padding."""
    return _spread(module(values[valid]), valid)


def _spread(values: Tensor, valid: Tensor) -> Tensor:
    """Values (n, ...) of the n valid frames back in their places (B, T, ...); zeros elsewhere."""
    spread = values.new_zeros(*valid.shape, *values.shape[1:])
    spread[valid] = values
    return spread


def _initialise(module: nn.Module, width: float) -> None:
    """Convolutions N(0, 0.02), batch norms N(1, 0.02), linear layers Xavier with bias 0.01 (released code).

    Narrower layers add up fewer terms: their weights are drawn wider, so that signals keep the paper's size.
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02 / width**0.5)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.constant_(module.bias, 0.01)


AUDIO_ONLY = {"use_au_input": False, "lambda_au": 0.0}
"""The ablation that the claims compare with: no action units, neither heard nor asked for."""

CARD = register(
    Card(
        key="au_talker",
        family="talking_heads",
        title="Talking Head Generation with Audio and Speech Related Facial Action Units",
        authors="Sen Chen, Zhilei Liu, Jiaxing Liu, Zhengxiang Yan, Longbiao Wang",
        venue="BMVC",
        year=2021,
        identifier="arXiv 2110.09951",
        config=Config,
        system=AuTalker,
        train=TrainConfig(epochs=50, batch_size=4, optimizer="adam", learning_rate=2e-4, momentum=0.5),
        datasets=("talking", "grid", "tcd_timit"),
        protocol=PROTOCOL,
        headline=HEADLINE,
        reconstructed=(
            "The last layer of Audio-to-AU, from a unit's 64 values to its probability, is not in the released file: a"
            " linear layer and a logistic function stand here.",
            "Audio-to-AU is taught on labels first and then fixed while the generator trains.",
            "The classifier of action units is taught on real frames first and then fixed, with dropout off.",
            "The weight of the action unit loss (0.002) is that of a later system of the group.",
            "Epochs and rates of the first two phases (20, 2e-4 and 1e-4) are not known.",
            "Cepstra are standardised by the training people; sequences are mirrored, colours changed by 10 %.",
            "The published splits and tables could not be read: no number of the paper is known.",
        ),
        data_licence="GRID: free for research; TCD-TIMIT: on request for research; the embedded people are synthetic",
        claims=(
            Claim(
                name="mouth_landmarks",
                sentence="Action units heard in the speech bring the mouth closer to the truth than sound alone.",
                metric="LMD",
                direction="lower",
                baseline=AUDIO_ONLY,
            ),
            Claim(
                name="speech_action_units",
                sentence="Action units heard in the speech bring the right ones into the generated mouth.",
                metric="F1",
                direction="higher",
                baseline=AUDIO_ONLY,
            ),
        ),
    )
)
