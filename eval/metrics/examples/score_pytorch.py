"""Trains a small autoencoder in PyTorch and scores its latents: `pip install infomec torch`.

The images are drawn here: a bar of one of 4 colors, at one of 8 rows and 8 columns. Like other
plain autoencoders it entangles them: each latent tells something about every source.
"""

import infomec
import numpy as np
import torch
from torch import nn


def draw(sources_NxS: np.ndarray) -> np.ndarray:
    """Returns images (N, 3, 16, 16), float32 in [0, 1], of (color, row, column)."""
    colors = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]], np.float32)
    images = np.zeros((len(sources_NxS), 3, 16, 16), np.float32)
    for image, (color, row, column) in zip(images, sources_NxS, strict=True):
        image[:, 2 * row : 2 * row + 2, column : column + 8] = colors[color][:, None, None]
    return images


class Autoencoder(nn.Module):
    """Three real latents, between layers of 128."""

    def __init__(self):
        super().__init__()
        self.encode = nn.Sequential(
            nn.Flatten(), nn.Linear(768, 128), nn.ReLU(), nn.Linear(128, 3), nn.Tanh()
        )
        self.decode = nn.Sequential(nn.Linear(3, 128), nn.ReLU(), nn.Linear(128, 768))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Returns reconstructions, shaped like the images."""
        return self.decode(self.encode(images)).view_as(images)


def main() -> None:
    """Prints the scores of what was learned."""
    torch.set_num_threads(1)  # More only get in each other's way, in layers this small.
    torch.manual_seed(0)
    sources = np.random.default_rng(0).integers(0, (4, 8, 8), (1000, 3))
    images = torch.from_numpy(draw(sources))
    model = Autoencoder()
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for batch in torch.randint(len(images), (600, 128)):
        loss = (model(images[batch]) - images[batch]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        latents = model.encode(images)
    result = infomec.compute_infomec(sources, latents, discrete=False)
    print(f"InfoM {result.infom:.3f}  InfoE {result.infoe:.3f}  InfoC {result.infoc:.3f}")


if __name__ == "__main__":
    main()
