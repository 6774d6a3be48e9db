"""Our steps, our preparation and our reads against those of MONAI, nnU-Net and pix2pix as its authors built it.

`make bench-peers` calls it in the environment of nnU-Net, which shares torch, MONAI and this project with .venv. All
contenders run in this process, with one thread, in turns (A B A B ...). Figures are CPU seconds, which other work on
the machine disturbs less than wall time.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import torch
from dynamic_network_architectures.architectures.unet import PlainConvUNet
from interleaved import PAGE, Row, keep, markdown_table, median_ratio, spread
from lightning.pytorch import Callback
from machine_facts import describe_machine
from monai.data import PersistentDataset
from monai.networks.nets import DynUNet
from monai.transforms import Compose, EnsureChannelFirstd, EnsureTyped, LoadImaged, Resized
from phantom_data import run_prepare
from torch import Tensor, nn
from torch.nn import functional

from nephrite.commit import code_state
from nephrite.config import load_config
from nephrite.execution import keep_freed_memory
from nephrite.generation.step_time import train_on_made_up_slices
from nephrite.models.losses import dice_loss
from nephrite.models.unet import UNet
from nephrite.phantom.phantom import draw_patient, write_volume
from nephrite.store.slices import PairStore

CURVAS = Path(__file__).resolve().parent.parent / "configs" / "curvas.yaml"
TURNS, STEPS, BATCH = 7, 10, 8
WIDTHS = (8, 16, 32, 64, 128)
SIZE = 96  # of generators and of prepared slices
SMALL, SMALL_SHAPE = 240, (16, 128, 128)
LARGE, LARGE_SHAPE = 4, (200, 512, 512)
READS = 1000
STEP_TARGET, GENERATOR_TARGET, PREPARE_TARGET = 1.4, 1.5, 1.5
FILES = {"image": "imaging", "label": "segmentation"}


def take_turns(contenders: Mapping[str, Callable[[], object]], turns: int = TURNS) -> dict[str, list[float]]:
    """CPU seconds of each contender in each turn, after one that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn, (name, run) in itertools.product(range(turns + 1), contenders.items()):
        started = time.process_time()
        run()
        if turn:
            seconds[name].append(time.process_time() - started)
    return seconds


def row(
    what: str, target: float | None, seconds: Mapping[str, Sequence[float]], peer: str, each: tuple[int, str]
) -> Row:
    """Ours against one peer.

    Args:
        what: was done.
        target: ratio that is asked for; None = none.
        seconds: of all contenders; ours are called 'ours'.
        peer: name of the other.
        each: how much of what a turn does.
    """
    ratios = [theirs / own for theirs, own in zip(seconds[peer], seconds["ours"], strict=True)]
    found = median_ratio(seconds[peer], seconds["ours"])
    rates = [each[0] / median(seconds[name]) for name in ("ours", peer)]
    details = (
        f"{spread(ratios)} times, n = {len(ratios)}; {rates[0]:.3g} against {rates[1]:.3g} {each[1]} per CPU second"
    )
    met = None if target is None else found >= target
    return Row(
        f"{what} against {peer}", f"at least {target:g} times" if target else "-", f"{found:.2f} times", met, details
    )


def unet_rows() -> Iterator[Row]:
    """One optimizer step of a U-Net with the same widths, on the same batch, with the same loss, in float32."""
    image, target = torch.rand(BATCH, 1, 64, 64), torch.zeros(BATCH, 2, 64, 64)
    target[:, 0, 20:40, 20:40] = 1
    plain = PlainConvUNet(
        1, len(WIDTHS), list(WIDTHS), nn.Conv2d, 3, [1, 2, 2, 2, 2], 2, 2, 2,
        conv_bias=True, norm_op=nn.InstanceNorm2d, norm_op_kwargs={"eps": 1e-5, "affine": True},
        nonlin=nn.LeakyReLU, nonlin_kwargs={"inplace": True}, deep_supervision=False,
    )  # fmt: skip
    dynamic = DynUNet(
        spatial_dims=2, in_channels=1, out_channels=2, kernel_size=[3] * 5, strides=[1, 2, 2, 2, 2],
        upsample_kernel_size=[2] * 4, filters=list(WIDTHS), deep_supervision=False,
    )  # fmt: skip
    ours = UNet(1, 2, base_width=WIDTHS[0], padding="same", normalization="batch").to(memory_format=torch.channels_last)
    steps = {
        "ours": step_of(ours, torch.optim.Adam(ours.parameters(), fused=True), image, target),
        "nnU-Net's PlainConvUNet": step_of(plain, peer_optimizer(plain), image, target),
        "MONAI's DynUNet": step_of(dynamic, peer_optimizer(dynamic), image, target),
    }
    seconds = take_turns({name: lambda step=step: [step() for _ in range(STEPS)] for name, step in steps.items()})
    what = "U-Net step (64 px, widths 8 to 128, 8 slices)"
    for peer in list(steps)[1:]:
        yield row(what, STEP_TARGET, seconds, peer, (STEPS * BATCH, "images"))


def peer_optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """What nnU-Net trains with."""
    return torch.optim.SGD(network.parameters(), 0.01, momentum=0.99, nesterov=True, weight_decay=3e-5)


def step_of(network: nn.Module, optimizer: torch.optim.Optimizer, image: Tensor, target: Tensor) -> Callable[[], None]:
    """Forward, loss, backward, update."""

    def step() -> None:
        optimizer.zero_grad()
        dice_loss(network(image), target).backward()
        optimizer.step()

    return step


class PeerGenerator(nn.Module):
    """U-Net of pix2pix, as the paper's appendix lists its layers and as its authors' PyTorch program builds them.

    4x4 convolutions of stride 2 down, transposed ones up, batch normalization, dropout in the inner levels.
    """

    def __init__(self, channels: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [width * min(2**level, 8) for level in range(depth)]
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for level, wide in enumerate(widths):
            before = channels if level == 0 else widths[level - 1]
            layers: list[nn.Module] = [nn.Conv2d(before, wide, 4, 2, 1, bias=level in (0, depth - 1))]
            layers += [nn.BatchNorm2d(wide)] if 0 < level < depth - 1 else []
            self.downs.append(nn.Sequential(*([nn.LeakyReLU(0.2)] if level else []), *layers))
        for level in reversed(range(depth)):
            after, given = (widths[level - 1] if level else 1), widths[level] * (1 if level == depth - 1 else 2)
            layers = [nn.ReLU(), nn.ConvTranspose2d(given, after, 4, 2, 1, bias=level == 0)]
            layers += [nn.BatchNorm2d(after)] if level else [nn.Tanh()]
            self.ups.append(nn.Sequential(*layers, *([nn.Dropout(0.5)] if 2 < level < depth - 1 else [])))

    def forward(self, condition: Tensor) -> Tensor:
        """Condition in, slice out."""
        skips, features = [], condition
        for down in self.downs:
            features = down(features)
            skips.append(features)
        features = self.ups[0](skips.pop())
        for up in list(self.ups)[1:]:
            features = up(torch.cat([skips.pop(), features], dim=1))
        return features


def peer_discriminator(channels: int, width: int, depth: int) -> nn.Module:
    """PatchGAN with some layers of stride 2; 3 in the paper's, of 70 x 70 pixels."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for level in range(1, depth + 1):
        stride = 2 if level < depth else 1
        before, after = width * 2 ** (level - 1), width * 2**level
        layers += [
            nn.Conv2d(before, after, 4, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(width * 2**depth, 1, 4, 1, 1))


class CpuClock(Callback):
    """CPU seconds of each training step, from batch to batch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_train_batch_start(self, *_: object) -> None:
        """Start."""
        self.started = time.process_time()

    def on_train_batch_end(self, *_: object) -> None:
        """Stop."""
        self.seconds.append(time.process_time() - self.started)


def generator_rows() -> Iterator[Row]:
    """A step of pix2pix, generator and discriminator, with networks of the same widths and depth."""
    config = load_config(CURVAS)
    changes = {"batch_size": BATCH, "ema_decay": 0.0, "differentiable_augmentation": ()}
    settings = config.train_gan["pix2pix"].model_copy(update=changes)
    channels, network = 2, settings.method.model_dump()
    width, judge = network["base_width"], settings.discriminator
    generator = PeerGenerator(channels, width, network["depth"])
    discriminator = peer_discriminator(channels + 1, judge.base_width, judge.layers)
    optimizers = [torch.optim.Adam(one.parameters(), 2e-4, betas=(0.5, 0.999)) for one in (generator, discriminator)]
    condition, real = torch.rand(BATCH, channels, SIZE, SIZE), torch.rand(BATCH, 1, SIZE, SIZE)

    def told(pair: Tensor, *, real: bool) -> Tensor:
        logits = discriminator(pair)
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))

    def peer_step() -> None:
        fake = generator(condition)
        discriminator.requires_grad_(True)
        optimizers[1].zero_grad()
        on_fake = told(torch.cat([condition, fake], 1).detach(), real=False)
        ((on_fake + told(torch.cat([condition, real], 1), real=True)) / 2).backward()
        optimizers[1].step()
        discriminator.requires_grad_(False)
        optimizers[0].zero_grad()
        (told(torch.cat([condition, fake], 1), real=True) + 100 * functional.l1_loss(fake, real)).backward()
        optimizers[0].step()

    own: list[float] = []
    theirs: list[float] = []
    for turn in range(TURNS + 1):
        clock = CpuClock()
        train_on_made_up_slices(config, settings, 2 + STEPS, clock, size=SIZE, classes=tuple(range(1, channels + 1)))
        started = time.process_time()
        for _ in range(STEPS):
            peer_step()
        if turn:
            own.append(sum(clock.seconds[2:]))
            theirs.append(time.process_time() - started)
    what, peer = f"pix2pix step ({SIZE} px, width {width}, 8 slices)", "pix2pix as its authors built it"
    yield row(what, GENERATOR_TARGET, {"ours": own, peer: theirs}, peer, (STEPS * BATCH, "slices"))


def write_patients(folder: Path, count: int, shape: tuple[int, int, int]) -> list[dict[str, str]]:
    """Phantom patients, their slices taken evenly or repeated to one number, in the layout of KiTS19."""
    cases = []
    for number in range(count):
        image, label, spacing = draw_patient(19, number, matrix=shape[1])
        places = np.linspace(0, len(image) - 1, shape[0]).round().astype(int)
        case = {name: folder / f"case_{number:05d}" / f"{file}.nii.gz" for name, file in FILES.items()}
        case["image"].parent.mkdir(parents=True)
        write_volume(case["image"], np.asarray(image)[places], spacing)
        write_volume(case["label"], np.asarray(label)[places], spacing)
        cases.append({name: str(path) for name, path in case.items()})
    return cases


def persistent(cases: Sequence[dict[str, str]], cache: Path) -> PersistentDataset:
    """The same resize, kept on disk by MONAI."""
    keys = ["image", "label"]
    steps = [LoadImaged(keys), EnsureChannelFirstd(keys), Resized(keys, (-1, SIZE, SIZE), mode=["area", "nearest"])]
    kept = EnsureTyped(keys, dtype=[torch.int16, torch.uint8], track_meta=False)
    return PersistentDataset(cases, Compose([*steps, kept]), cache)


def data_rows() -> Iterator[Row]:
    """Preparation with hashes and flush, against a cache that is written once; then slices at random."""
    for count, shape, turns in ((SMALL, SMALL_SHAPE, 3), (LARGE, LARGE_SHAPE, 3)):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            cases = write_patients(folder / "raw", count, shape)
            places = (Path(tempfile.mkdtemp(dir=folder)) / "made" for _ in itertools.count())

            def theirs(cases: Sequence[dict[str, str]] = cases, places: Iterator[Path] = places) -> None:
                data = persistent(cases, next(places))
                for number in range(len(data)):
                    data[number]

            def ours(raw: Path = folder / "raw", places: Iterator[Path] = places) -> None:
                run_prepare(raw, next(places), size=SIZE)

            peer = "MONAI's PersistentDataset"
            seconds = take_turns({"ours": ours, peer: theirs}, turns)
            volumes = " x ".join(map(str, reversed(shape)))
            yield row(f"prepare, {count} patients of {volumes}", PREPARE_TARGET, seconds, peer, (count, "patients"))
            if count == SMALL:
                yield read_row(folder / "raw", cases, next(places), next(places))


def read_row(raw: Path, cases: Sequence[dict[str, str]], pairs: Path, cache: Path) -> Row:
    """Slices in random order, image and label, from what each has prepared."""
    run_prepare(raw, pairs, size=SIZE)
    store, data = PairStore(pairs), persistent(cases, cache)
    for number in range(len(data)):
        data[number]
    generator, slices = np.random.default_rng(0), list(store.slices("train"))
    chosen = [slices[place] for place in generator.integers(0, len(slices), READS)]
    drawn = generator.integers(0, (len(cases), SMALL_SHAPE[0]), (READS, 2))

    def ours() -> None:
        for ref in chosen:
            store.windowed(ref)
            np.asarray(store.label(ref.patient)[ref.position])

    def theirs() -> None:
        for number, index in drawn:
            item = data[int(number)]
            item["image"][0, int(index)].float()
            item["label"][0, int(index)].clone()

    peer = "MONAI's PersistentDataset"
    seconds = take_turns({"ours": ours, peer: theirs})
    return row("slices read at random, image and label", None, seconds, peer, (READS, "slices"))


PARTS: dict[str, Callable[[], Iterator[Row]]] = {"unet": unet_rows, "pix2pix": generator_rows, "data": data_rows}


def main() -> None:
    """Measure the parts that are named, all by default, and print them; with `--write` docs/speed.md gets them."""
    torch.set_num_threads(1)
    keep_freed_memory()  # for all contenders
    parts = [word for word in sys.argv[1:] if word != "--write"] or list(PARTS)
    for part in parts:
        rows = []
        for found in PARTS[part]():
            rows.append(found)
            sys.stderr.write(f"{found.what}: {found.measured}; {found.details}\n")
        text = f"{markdown_table(rows)}\n\nPrinted by `make bench-peers`: {versions()}; {describe_machine()}"
        sys.stdout.write(f"{text}\n\n")
        if "--write" in sys.argv:
            keep(PAGE, f"peers-{part}", text)


def versions() -> str:
    """Commit and versions of the peers."""
    known = ", ".join(f"{name} {version(name)}" for name in ("monai", "nnunetv2", "dynamic-network-architectures"))
    return f"commit {str(code_state())[:10]}, {known}"


if __name__ == "__main__":
    main()
