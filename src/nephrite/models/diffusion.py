"""A small diffusion model that sees the condition: Ho, Jain, Abbeel, "Denoising Diffusion Probabilistic Models", 2020;
sampled by Song, Meng, Ermon, "Denoising Diffusion Implicit Models", ICLR 2021. Network and schedule are MONAI's.

b  batch    k  channels of the condition    h, w  height and width in pixels
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Integer
from monai.networks.nets.diffusion_model_unet import DiffusionModelUNet
from monai.networks.schedulers.ddim import DDIMScheduler
from torch import Tensor, nn
from torch.nn import functional

from nephrite.models.generators import pad_to_multiple
from nephrite.models.unet import crop_center

GROUPS = 8  # groups of a group normalization


class Denoiser(nn.Module):
    """Predicts the velocity (Salimans and Ho 2022, section 4), which stays well scaled with few sampling steps.

    The condition joins the noisy slice as further channels (Saharia et al. 2022, "Palette"). Slices are in [-1, 1]
    inside, and in [0, 1] outside.

    Args:
        channels: of the condition.
        base_width: features at full resolution; twice as many at each level below.
        depth: number of down-samplings.
        noise_steps: levels of noise in training.
        sampling_steps: denoising steps per slice.
    """

    def __init__(self, channels: int, *, base_width: int, depth: int, noise_steps: int, sampling_steps: int) -> None:
        super().__init__()
        widths = [base_width * 2**level for level in range(depth + 1)]
        self.depth = depth
        self.network = DiffusionModelUNet(
            spatial_dims=2,
            in_channels=1 + channels,
            out_channels=1,
            channels=widths,
            attention_levels=[False] * depth + [True],
            num_res_blocks=1,
            num_head_channels=widths[-1],
            norm_num_groups=GROUPS,
        )
        self.schedule = DDIMScheduler(noise_steps, schedule="cosine", prediction_type="v_prediction")
        self.schedule.set_timesteps(sampling_steps)

    def forward(
        self, noisy: Float[Tensor, "b 1 h w"], level: Integer[Tensor, " b"], condition: Float[Tensor, "b k h w"]
    ) -> Float[Tensor, "b 1 h w"]:
        """The velocity at these levels of noise."""
        height, width = noisy.shape[-2:]
        shown = pad_to_multiple(torch.cat([noisy, condition], dim=1), 2**self.depth)
        velocity: Tensor = self.network(shown, level)
        return crop_center(velocity.float(), height, width)

    def loss(
        self, image: Float[Tensor, "b 1 h w"], condition: Float[Tensor, "b k h w"], generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """Mean square error of the velocity at a random level of noise per slice.

        Args:
            image: in [0, 1].
            condition: of the slices.
            generator: draws levels and noise, on the processor.
        """
        levels = torch.randint(self.schedule.num_train_timesteps, (len(image),), generator=generator).to(image.device)
        noise = torch.randn(image.shape, generator=generator).to(image.device)
        clean = image.float() * 2 - 1
        noisy = self.schedule.add_noise(clean, noise, levels)
        velocity = self.schedule.get_velocity(clean, noise, levels)
        return functional.mse_loss(self(noisy, levels, condition), velocity)

    def sample(self, condition: Float[Tensor, "b k h w"], noise: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Denoise noise into slices in [0, 1]; nothing else is drawn (eta = 0 in Song 2021, section 4.1)."""
        slices = noise
        for level in self.schedule.timesteps:
            levels = level.to(noise.device).expand(len(noise))
            slices, _ = self.schedule.step(self(slices, levels, condition), int(level), slices)
        return ((slices + 1) / 2).clamp(0, 1)
