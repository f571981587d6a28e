"""Write densecorr/datasets/data/landmarks_{body,quadruped}.csv: a vertex of the shipped shape for each landmark.

Each is the surface vertex nearest to a place given by the skeleton or the outline: a joint moved to the side on which
the landmark is seen, or the top or underside of the midline. Left ones are found, right ones are their mirror vertices.
Run from the repository root after a change to a shape:
    python infra/make_landmarks.py
"""

from pathlib import Path

import numpy as np

from densecorr.templates.body import load_body
from densecorr.templates.quadruped import build_quadruped

FOLDER = Path(__file__).parents[1] / "densecorr/datasets/data"
MIDLINE = 1e-6  # metres off the mirror plane
OUT, UP, FRONT = np.eye(3)


def nearest(V: np.ndarray, place: np.ndarray) -> int:
    """The vertex nearest to a place."""
    return int(np.argmin(np.linalg.norm(V - place, axis=1)))


def on_midline(V: np.ndarray, place: np.ndarray) -> int:
    """The vertex of the mirror plane nearest to a place."""
    middle = np.flatnonzero(np.abs(V[:, 0]) < MIDLINE)
    return int(middle[nearest(V[middle], place)])


def body_landmarks() -> tuple[dict[str, int], np.ndarray]:
    """Midline and left landmarks of the body, and its mirror."""
    body = load_body()
    V, joint = body.V, dict(zip(body.bones, body.joints, strict=True))
    head = np.flatnonzero(body.owner == body.bones.index("head"))
    ear = int(head[np.argmax(V[head, 0])])
    middle = head[np.abs(V[head, 0]) < MIDLINE]
    nose = int(middle[np.argmax(V[middle, 2])])
    eye = V[nose] + 0.031 * OUT + 0.03 * UP - 0.03 * FRONT  # metres; the sockets of this face
    return {
        "nose": nose,
        "left_eye": nearest(V, eye),
        "left_ear": ear,
        "left_shoulder": nearest(V, joint["upperarm01.L"] + 0.05 * UP),
        "left_elbow": nearest(V, joint["lowerarm01.L"] + 0.05 * OUT),
        "left_wrist": nearest(V, joint["wrist.L"] + 0.04 * OUT),
        "left_hip": nearest(V, joint["upperleg01.L"] + 0.1 * OUT),
        "left_knee": nearest(V, joint["lowerleg01.L"] + 0.07 * FRONT),
        "left_ankle": nearest(V, joint["foot.L"] + 0.05 * OUT),
    }, body.mirror


def quadruped_landmarks() -> tuple[dict[str, int], np.ndarray]:
    """Midline and left landmarks of the quadruped, and its mirror."""
    animal = build_quadruped()
    V, joint = animal.V, dict(zip(animal.bones, animal.joints, strict=True))
    owner = np.array(animal.bones)[animal.owner]

    def outside(bone: str) -> int:
        return nearest(V, joint[bone] + 0.15 * OUT)

    def hoof(bone: str) -> int:
        foot = np.flatnonzero(owner == bone)
        return int(foot[nearest(V[foot], np.array([joint[bone][0], 0.0, V[foot, 2].max()]))])

    def back(z: float) -> int:
        middle = np.flatnonzero((np.abs(V[:, 0]) < MIDLINE) & (np.abs(V[:, 2] - z) < 0.05))
        return int(middle[np.argmax(V[middle, 1] - np.abs(V[middle, 2] - z))])

    face = 0.6 * joint["head"] + 0.4 * joint["muzzle"]
    muzzle = np.flatnonzero((owner == "muzzle") & (np.abs(V[:, 0]) < MIDLINE))
    tail = np.flatnonzero((owner == "tail_3") & (np.abs(V[:, 0]) < MIDLINE))
    return {
        "nose": int(muzzle[np.argmax(V[muzzle, 2])]),
        "left_eye": nearest(V, face + 0.15 * OUT + 0.05 * UP),
        "left_ear": nearest(V, joint["ear.L"]),
        "poll": on_midline(V, joint["head"] + 0.12 * UP),
        "throat": on_midline(V, joint["head"] - 0.35 * UP),
        "neck": back(joint["neck_low"][2]),
        "withers": back(joint["upper_arm.L"][2] - 0.1),
        "tail_base": on_midline(V, joint["tail_1"] + 0.08 * UP),
        "tail_tip": int(tail[np.argmin(V[tail, 1])]),
        "left_shoulder": outside("upper_arm.L"),
        "left_front_elbow": outside("forearm.L"),
        "left_front_knee": outside("front_cannon.L"),
        "left_front_hoof": hoof("front_foot.L"),
        "left_hip": outside("thigh.L"),
        "left_stifle": outside("gaskin.L"),
        "left_hock": outside("hind_cannon.L"),
        "left_hind_hoof": hoof("hind_foot.L"),
    }, animal.mirror


def main() -> None:
    """Find and write both tables."""
    for shape, (found, mirror) in {"body": body_landmarks(), "quadruped": quadruped_landmarks()}.items():
        rows = ["landmark,vertex"]
        for name, vertex in found.items():
            rows.append(f"{name},{vertex}")
            if name.startswith("left_"):
                rows.append(f"right_{name.removeprefix('left_')},{int(mirror[vertex])}")
        path = FOLDER / f"landmarks_{shape}.csv"
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        print(f"{path}: {len(rows) - 1} landmarks")


if __name__ == "__main__":
    main()
