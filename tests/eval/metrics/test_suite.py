"""The published suite: codes whose scores are known, and oracles put together from scikit-learn."""

import numpy as np
import pytest
from sklearn import dummy, ensemble, linear_model, metrics, svm

from eval.metrics.beta_vae import compute_beta_vae
from eval.metrics.dci import compute_dci, compute_dci_forest
from eval.metrics.errors import InputError
from eval.metrics.factor_vae import compute_factor_vae
from eval.metrics.mig import compute_mig
from eval.metrics.modularity import compute_modularity
from eval.metrics.samples import halve_rows
from eval.metrics.sap import compute_sap

SUITE = {
    "dci": compute_dci,
    "dci_forest": compute_dci_forest,
    "mig": compute_mig,
    "sap": compute_sap,
    "modularity": compute_modularity,
    "factor_vae": compute_factor_vae,
    "beta_vae": compute_beta_vae,
}
MAIN = {name: name for name in SUITE} | {
    "dci": "dci_disentanglement",
    "dci_forest": "dci_forest_disentanglement",
}


def full_grid(repeats=60, cardinalities=(3, 2, 4)):
    axes = np.meshgrid(*(np.arange(size) for size in cardinalities), indexing="ij")
    return np.tile(np.stack([axis.ravel() for axis in axes], axis=1), (repeats, 1))


def noisy_code(num=600, seed=0):
    """Sources, and latents that mix them a little: no score at either end of its range."""
    rng = np.random.default_rng(seed)
    sources = np.stack([rng.integers(0, size, num) for size in (3, 2, 4)], axis=1)
    mixing = np.array([[1.0, 0.3, 0.0, 0.2], [0.0, 1.0, 0.4, 0.0], [0.5, 0.0, 1.0, 0.1]])
    return sources, sources @ mixing + rng.normal(size=(num, 4)) * 0.4


def main_score(name, sources, latents, discrete):
    return SUITE[name](sources, latents, discrete=discrete)[MAIN[name]]


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("name", SUITE)
def test_perfect_code(name, discrete):
    sources = full_grid()
    score = main_score(name, sources, sources, discrete)
    if name == "sap":
        # One linear machine per source separates its end values only, as published.
        assert score > 0.2
    else:
        assert score == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", SUITE)
def test_permuted_and_relabelled_code_scores_the_same(name):
    sources = full_grid()
    latents = sources[:, [2, 0, 1]]
    if name != "sap":  # Its penalised machine is not blind to the order of codes.
        latents[:, 1] = 2 - latents[:, 1]
    plain = SUITE[name](sources, sources, discrete=True)
    permuted = SUITE[name](sources, latents, discrete=True)
    # The stochastic scores reach exactly 1 on a perfect code, whatever they draw.
    for key, value in plain.items():
        assert permuted[key] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize("discrete", [True, False])
@pytest.mark.parametrize("name", SUITE)
def test_independent_code(name, discrete):
    sources = full_grid()
    rng = np.random.default_rng(0)
    latents = rng.integers(0, 5, sources.shape) if discrete else rng.normal(size=sources.shape)
    score = main_score(name, sources, latents, discrete)
    # Chance is 1/3 where a source is guessed. Modularity judges ratios of chance information, and
    # dci importances of noise, in which the source with most classes is in the lead.
    limit = {"factor_vae": 0.45, "beta_vae": 0.45, "modularity": 0.95, "dci": 0.2}
    assert score < limit.get(name, 0.1)


@pytest.mark.parametrize("name", [name for name in SUITE if name != "dci"])
def test_rotated_code_scores_less_than_a_straight_one(name):
    sources = full_grid(30, (6, 6))
    noise = np.random.default_rng(0).normal(size=sources.shape) * 0.05
    straight = sources + noise
    rotated = straight @ (np.array([[1, -1], [1, 1]]) / np.sqrt(2))
    before = main_score(name, sources, straight, False)
    after = main_score(name, sources, rotated, False)
    assert after < 0.6 * before
    if name in ("factor_vae", "beta_vae"):
        assert after == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("name", SUITE)
def test_defined_at_the_edges(name):
    sources = full_grid(10)
    constant = np.concatenate([sources, np.ones((len(sources), 1), int)], axis=1)
    plain = SUITE[name](sources, sources, discrete=True)
    assert SUITE[name](constant, sources, discrete=True) == plain
    for latents, discrete in ((np.zeros((len(sources), 2)), False), (sources[:, :1], True)):
        values = SUITE[name](sources, latents, discrete=discrete)
        assert all(0 <= value <= 1 for value in values.values())
    one_source = SUITE[name](sources[:, :1], sources, discrete=True)
    assert all(0 <= value <= 1 for value in one_source.values())
    with pytest.raises(InputError, match="NaN"):
        SUITE[name](sources, np.full((len(sources), 2), np.nan), discrete=False)


def test_useless_latents_score_zero():
    sources = full_grid(10)
    nothing = np.zeros((len(sources), 3))
    assert compute_mig(sources, nothing, discrete=False)["mig"] == 0
    assert compute_modularity(sources, nothing, discrete=False)["modularity"] == 0
    assert compute_sap(sources, nothing, discrete=False)["sap"] == 0
    assert compute_factor_vae(sources, nothing, discrete=False)["factor_vae"] == 0
    forest = compute_dci_forest(sources, nothing, discrete=False)
    assert forest["dci_forest_disentanglement"] == 0


def binned(latents):
    edges = [np.histogram_bin_edges(column, 20)[:-1] for column in latents.T]
    pairs = zip(latents.T, edges, strict=True)
    return np.stack([np.digitize(column, edge) for column, edge in pairs], axis=1)


def information_oracle(sources, codes):
    return np.array(
        [[metrics.mutual_info_score(source, code) for code in codes.T] for source in sources.T]
    )


def test_mig_oracle():
    sources, latents = noisy_code()
    information = np.sort(information_oracle(sources, binned(latents)), axis=1)
    entropy = np.array([metrics.mutual_info_score(source, source) for source in sources.T])
    expected = ((information[:, -1] - information[:, -2]) / entropy).mean()
    assert compute_mig(sources, latents, discrete=False)["mig"] == pytest.approx(expected, abs=1e-9)


def test_modularity_oracle():
    sources, latents = noisy_code()
    scores = []
    for information in information_oracle(sources, binned(latents)).T:
        template = np.where(information == information.max(), information.max(), 0)
        deviation = ((information - template) ** 2).sum() / information.max() ** 2 / 2
        scores.append(1 - deviation)
    score = compute_modularity(sources, latents, discrete=False)["modularity"]
    assert score == pytest.approx(np.mean(scores), abs=1e-9)


def test_sap_oracle():
    sources, latents = noisy_code()
    fitted, scored = halve_rows(len(sources))
    gaps = []
    for source in sources.T:
        accuracies = []
        for latent in latents.T:
            machine = svm.LinearSVC(C=0.01, class_weight="balanced", dual=False)
            machine.fit(latent[fitted, None], source[fitted])
            accuracies.append(machine.score(latent[scored, None], source[scored]))
        gaps.append(np.diff(sorted(accuracies)[-2:])[0])
    score = compute_sap(sources, latents, discrete=False)["sap"]
    assert score == pytest.approx(np.mean(gaps), abs=1e-9)


def test_sap_of_latents_whose_squares_overflow_ends():
    sources, latents = noisy_code()
    huge = compute_sap(sources, latents * 1e170, discrete=False)
    assert huge == compute_sap(sources, latents * 1e200, discrete=False)


def dci_oracle(sources, latents, make):
    fitted, scored = halve_rows(len(sources))
    models = [make().fit(latents[fitted], source[fitted]) for source in sources.T]
    accuracy = [
        metrics.accuracy_score(source[scored], model.predict(latents[scored]))
        for model, source in zip(models, sources.T, strict=True)
    ]
    importance = np.stack([model.feature_importances_ for model in models])

    def weighted(matrix):
        scores = []
        for row in matrix:
            share = row / row.sum()
            scores.append(1 + (share * np.log(share + 1e-11)).sum() / np.log(len(share)))
        return np.average(scores, weights=matrix.sum(axis=1))

    return weighted(importance.T), weighted(importance), np.mean(accuracy)


def test_dci_oracle():
    sources, latents = noisy_code(300)
    expected = dci_oracle(
        sources, latents, lambda: ensemble.GradientBoostingClassifier(random_state=0)
    )
    result = compute_dci(sources, latents, discrete=False)
    assert list(result.values()) == pytest.approx(expected, abs=1e-7)


def test_dci_forest_oracle():
    sources, latents = noisy_code(300)
    expected = dci_oracle(
        sources,
        latents,
        lambda: ensemble.RandomForestClassifier(
            50, max_features=None, min_samples_leaf=5, random_state=0
        ),
    )
    result = compute_dci_forest(sources, latents, discrete=False)
    assert list(result.values()) == pytest.approx(expected, abs=1e-7)


def draw_groups(sources, num, size, rng):
    """Groups as published, one at a time: fix one source, then any samples that agree in it."""
    for _ in range(num):
        fixed = rng.integers(sources.shape[1])
        value = rng.choice(sources[:, fixed])
        yield fixed, rng.choice(np.flatnonzero(sources[:, fixed] == value), size)


def hard_code(num=2000):
    """Latents so mixed and noisy that a classifier of fixed sources errs."""
    rng = np.random.default_rng(0)
    sources = np.stack([rng.integers(0, 3, num) for _ in range(3)], axis=1)
    mixing = np.array([[1.0, 0.9], [0.9, 1.0], [0.6, 0.5]])
    return sources, sources @ mixing + rng.normal(size=(num, 2)) * 2


def test_factor_vae_oracle():
    sources, latents = hard_code()
    rng = np.random.default_rng(1)

    def votes(num):
        drawn = list(draw_groups(sources, num, 64, rng))
        least = [(latents[rows].var(0) / latents.var(0)).argmin() for _, rows in drawn]
        return np.array(least), np.array([fixed for fixed, _ in drawn])

    (fit_votes, fit_fixed), (test_votes, test_fixed) = votes(3000), votes(3000)
    hits = 0
    for latent in np.unique(test_votes):
        majority = dummy.DummyClassifier(strategy="most_frequent")
        chosen = fit_votes == latent
        majority.fit(fit_votes[chosen, None], fit_fixed[chosen])
        test = test_votes == latent
        hits += majority.score(test_votes[test, None], test_fixed[test]) * test.sum()
    result = compute_factor_vae(sources, latents, discrete=False)
    assert 0.34 < result["factor_vae"] < 1
    assert result["factor_vae"] == pytest.approx(hits / 3000, abs=0.03)


def test_beta_vae_oracle():
    sources, latents = hard_code()
    unit = (latents - latents.mean(0)) / latents.std(0)
    rng = np.random.default_rng(1)

    def points(num):
        differences, shared = [], []
        for _ in range(num):
            fixed = rng.integers(sources.shape[1])
            one = rng.integers(len(sources), size=64)
            alike = [np.flatnonzero(sources[:, fixed] == v) for v in range(3)]
            other = [rng.choice(alike[value]) for value in sources[one, fixed]]
            differences.append(np.abs(unit[one] - unit[other]).mean(0))
            shared.append(fixed)
        return np.array(differences), np.array(shared)

    model = linear_model.LogisticRegression().fit(*points(4000))
    expected = model.score(*points(3000))
    result = compute_beta_vae(sources, latents, discrete=False)
    assert 0.34 < result["beta_vae"] < 0.98
    assert result["beta_vae"] == pytest.approx(expected, abs=0.04)
    assert 0 < result["beta_vae_std"] < 0.05


def test_seeds_move_only_the_scores_that_draw():
    sources, latents = hard_code()
    one = compute_beta_vae(sources, latents, discrete=False, seed=0)
    assert one == compute_beta_vae(sources, latents, discrete=False, seed=0)
    assert one != compute_beta_vae(sources, latents, discrete=False, seed=1)


@pytest.mark.parametrize("compute", [compute_factor_vae, compute_beta_vae])
def test_groups_need_a_repeated_value(compute):
    sources = np.stack([np.arange(20), np.arange(20) % 2], axis=1)
    with pytest.raises(InputError, match="occurs twice"):
        compute(sources, sources, discrete=True)
