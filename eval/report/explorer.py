"""What the page needs to show latents: pictures as data links, and a small decoder to run."""

import base64
import io
import json
import math
from typing import Any

import numpy as np
from PIL import Image

from eval.layer_list import LayerList, list_decoder
from eval.report.summary import Album
from qlae.restored_model import RestoredModel

MOST_DECODER_BYTES = 1_000_000
_LOSSLESS_BELOW = 32  # pixels a side


def make_sheet(rows: np.ndarray) -> str:
    """Returns a data link to one picture of (rows, columns, H, W, C) images in [0, 1]."""
    num_rows, num_columns, height, width, channels = rows.shape
    sheet = rows.swapaxes(1, 2).reshape(num_rows * height, num_columns * width, channels)
    pixels = np.round(sheet.clip(0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    buffer = io.BytesIO()
    if height < _LOSSLESS_BELOW:
        image.save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        image.save(buffer, "WEBP", quality=80, method=4)
        kind = "webp"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def make_payload(run: RestoredModel, album: Album) -> dict[str, Any]:
    """Returns what the page's script reads of one run, as JSON."""
    return {
        "shape": run.image_shape,
        "latents": album.latents_KxZ.tolist(),
        "values": album.values_KxZxV.tolist(),
        "own": album.own_KxZ.tolist(),
        "decoder": pack(list_decoder(run.model)),
    }


def pack(decoder: LayerList) -> dict[str, Any] | None:
    """Returns layers with float16 arrays as base64; None if they take more than 1 MB."""
    text = io.BytesIO()
    arrays = {}
    for name, array in decoder.arrays.items():
        arrays[name] = [text.tell() // 2, list(array.shape)]
        text.write(array.astype("<f2").tobytes())
    if math.ceil(text.tell() / 3) * 4 > MOST_DECODER_BYTES:
        return None
    data = base64.b64encode(text.getvalue()).decode()
    return {"layers": decoder.layers, "arrays": arrays, "data": data}


def to_script(payload: Any) -> str:
    """Returns JSON that cannot end the script element that it stands in."""
    return json.dumps(payload, separators=(",", ":")).replace("<", "\\u003c")
