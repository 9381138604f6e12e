"""The page: what stands in it, that it is right by night, and, in a browser, that it answers."""

import base64
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from data_pipelines.specs import get_spec
from eval.clear_images import find_clear_images
from eval.records import load_records
from qlae.restore import restore
from tests import runs
from tests.eval.report import browser

pytestmark = pytest.mark.process
FOLDER = runs.ROOT / "eval" / "report"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A tiny run, trained and scored."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert runs.train(folder, "--config.num_steps=20")[0] == 0
    assert runs.run("eval.worker", f"--workdir={folder}")[0] == 0
    return folder


@pytest.fixture(scope="module")
def page(workdir):
    """Its report's file."""
    folder = workdir.parent / "report"
    code, output, errors = runs.run("eval.report.__main__", str(workdir), f"--out={folder}")
    assert code == 0, errors
    assert output.strip() == str(folder / "index.html")
    return folder / "index.html"


def read_payload(page: Path) -> dict:
    """What the page's script reads of its run."""
    text = page.read_text()
    return json.loads(re.search(r'id="data-0">(.*?)</script>', text, re.DOTALL)[1])


def test_the_page_is_one_small_file_that_asks_for_nothing(page):
    text = page.read_text()
    assert page.stat().st_size < 5_000_000
    assert not re.search(r"""(src|href)=["']?(https?:)?//|url\(["']?http|@import""", text)


def test_scores_and_nmi_stand_in_the_page_as_numbers(page, workdir):
    text, record = page.read_text(), load_records(workdir)[-1]
    cells = re.findall(r'data-says="([a-z ]+) · z(\d+): ([\d.]+)">([\d.]+)</td>', text)
    found = np.reshape([float(value) for _, _, value, _ in cells], np.shape(record.nmi_SxZ))
    np.testing.assert_allclose(found, record.nmi_SxZ, atol=6e-4)
    assert f"<td>{record.scores['infom']:.3f}</td>" in text
    for name in ("InfoM", "loss/total", "z11", "orientation", "Goodput", "stepping"):
        assert name in text


def test_ink_can_be_read_on_every_ground_by_day_and_by_night():
    css = (FOLDER / "page.css").read_text()
    day, night = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    for block in (day, night):
        color = {name: to_rgb(code) for name, code in re.findall(r"--([\w-]+): #(\w{6});", block)}
        for ink in ("ink", "muted", "accent"):
            for ground in ("surface", "raised"):
                assert contrast(color[ink], color[ground]) >= 4.5, (ink, ground)
        for share in np.linspace(0, 1, 11):
            mixed = share * color["heat"] + (1 - share) * color["raised"]
            assert contrast(color["ink"], mixed) >= 4.5, share
        for number in range(4):
            assert contrast(color[f"series-{number}"], color["surface"]) >= 3


def to_rgb(code: str) -> np.ndarray:
    """The colour of six hexadecimal digits, in [0, 1]."""
    return np.array(list(bytes.fromhex(code))) / 255


def contrast(first: np.ndarray, second: np.ndarray) -> float:
    """The contrast ratio of WCAG 2."""
    linear = [
        np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
        for c in (first, second)
    ]
    return (max(linear) + 0.05) / (min(linear) + 0.05)


def test_clear_images_have_three_hues_far_apart():
    spec = get_spec("shapes3d")
    sources = spec.sources_at(np.arange(0, spec.num_images, 7))
    chosen = find_clear_images(spec, sources, 6)
    assert len(set(chosen.tolist())) == 6
    for hues in spec.values_at(sources[chosen])[:, :3]:
        gaps = np.diff(np.sort([*hues, hues.min() + 1]))
        assert gaps.min() > 0.29
    sprites = get_spec("dsprites")  # without hues: the larger sprites
    sources = sprites.sources_at(np.arange(0, sprites.num_images, 97))
    assert (sources[find_clear_images(sprites, sources, 4), 1] >= 3).all()


@pytest.mark.process
def test_the_pages_decoder_equals_jax(page, workdir, tmp_path):
    browser.require("node")
    run, packed = restore(workdir), read_payload(page)["decoder"]
    latents = np.random.default_rng(0).integers(0, 10, (20, run.num_latents))
    script = """
    const { makeDecoder } = require(process.argv[1]);
    const { packed, latents } = JSON.parse(require("fs").readFileSync(0));
    const decode = makeDecoder(packed);
    console.log(JSON.stringify(latents.map((z) => [...decode(z)])));
    """
    done = subprocess.run(
        ["node", "-e", script, FOLDER / "decoder.js"],
        input=json.dumps({"packed": packed, "latents": latents.tolist()}),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    decoded = np.reshape(json.loads(done.stdout), (20, *run.image_shape))
    np.testing.assert_allclose(decoded, run.decode(latents), atol=2 / 255)


@pytest.mark.process
def test_clicks_and_arrow_keys_change_the_picture(page):
    with browser.open_browser() as window:
        window.open(page.as_uri())
        look = "return document.querySelector('canvas').toDataURL()"
        own = read_payload(page)["own"][0][0]
        before = window.run(look)
        window.click(f".cells label:has(input[name='z0-0'][value='{9 - own if own != 4 else 9}'])")
        clicked = window.run(look)
        window.run("document.querySelector('input[name=\"z0-3\"]:checked').focus()")
        window.press(browser.ARROW_RIGHT)
        pressed = window.run(look)
        assert len({before, clicked, pressed}) == 3
        window.run("document.querySelector('table.nmi td[data-says]').focus()")
        window.press(browser.ARROW_RIGHT)
        says = "return document.querySelector('table.nmi').closest('div:not(.scroll)')"
        assert re.fullmatch(r"floor hue · z1: [\d.]+", window.run(says + ".lastElementChild.value"))
        assert window.list_errors() == []


def test_without_records_or_runs_nothing_is_written(tmp_path):
    code, _, errors = runs.run(
        "eval.report.__main__", str(tmp_path), f"--out={tmp_path / 'report'}"
    )
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "no run at" in errors
    assert not (tmp_path / "report").exists()


def test_a_run_without_scores_is_sent_to_the_worker(workdir, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text((workdir / "config.json").read_text())
    code, _, errors = runs.run(
        "eval.report.__main__", str(tmp_path), f"--out={tmp_path / 'report'}"
    )
    assert (code, len(errors.splitlines())) == (2, 1)
    assert "has not been evaluated: python -m eval.worker" in errors
    assert not (tmp_path / "report").exists()


def test_pictures_are_data(page):
    links = re.findall(r"url\(data:image/png;base64,([^)]+)\)", page.read_text())
    assert len(links) == 7  # six images' latents, and the images
    assert all(base64.b64decode(link).startswith(b"\x89PNG") for link in links)
