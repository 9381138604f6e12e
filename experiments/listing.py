"""What there is to choose from: arms, datasets and metrics, one line each."""

from data_pipelines.specs import SPECS
from eval.metrics.registry import METRICS
from experiments.configs.arms import ARMS, get_arm_config, get_arm_module


def format_listing() -> str:
    """Returns the list that `python -m experiments.train --list` prints."""
    models = [(arm, _describe_arm(arm)) for arm in ARMS]
    datasets = [(name, _describe_dataset(name)) for name in SPECS]
    metrics = [(name, metric.description) for name, metric in METRICS.items()]
    sections = {
        "models (experiments/configs/MODEL.py)": models,
        "datasets (config.data.name)": datasets,
        "metrics (config.eval.metrics)": metrics,
    }
    return "\n".join(
        line for title, rows in sections.items() for line in (f"{title}:", *_format(rows))
    )


def _describe_arm(arm: str) -> str:
    config = get_arm_config(arm, "shapes3d")
    summary = (get_arm_module(arm).__doc__ or "").splitlines()[0].rstrip(".")
    return f"{summary}; weight decay {config.optimizer.weight_decay:g} on shapes3d"


def _describe_dataset(name: str) -> str:
    spec = SPECS[name]
    sources = ", ".join(f"{source.name} {source.cardinality}" for source in spec.sources)
    return f"{spec.num_images:,} images: {sources}"


def _format(rows: list[tuple[str, str]]) -> list[str]:
    width = max(len(name) for name, _ in rows)
    return [f"  {name:{width}}  {text}" for name, text in rows]
