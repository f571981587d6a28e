"""72 views at 512x512 of the shipped body (13,348 vertices): faces, barycentrics and depth."""

import numpy as np

from densecorr.records import Camera
from densecorr.rendering.cameras import RigSettings, camera_rig
from densecorr.rendering.pyrender_backend import import_pyrender
from densecorr.rendering.rasterize import make_scene
from densecorr.templates.catalog import load_catalog_mesh

from .measure import Benchmark, Comparison


def prepare() -> Benchmark:
    """Both scenes are built once; each call renders the whole rig."""
    V, F = load_catalog_mesh("body")
    cameras = camera_rig(V, RigSettings(size=512))
    scene = make_scene(V, F)
    theirs = PyrenderBaseline(V, F)

    def check() -> None:
        for camera in cameras[::9]:
            mine, depth = scene.fragments(camera).depth, theirs.render(camera)[1]
            both = np.isfinite(mine) & (depth > 0)
            if (np.isfinite(mine) != (depth > 0)).mean() > 2e-3:
                raise AssertionError("the silhouettes differ")
            if (
                np.quantile(np.abs(mine - depth)[both], 0.9) > 5e-3
            ):  # multisampling moves depths, most at edges
                raise AssertionError("the depths differ")

    return Benchmark(
        lambda: [scene.fragments(camera) for camera in cameras],
        check,
        (Comparison("pyrender", lambda: [theirs.render(camera) for camera in cameras], 0.5),),
        rounds=7,
    )


class PyrenderBaseline:
    """Pyrender's own way: one scene, one renderer, one camera node that is moved; colour and depth."""

    def __init__(self, V: np.ndarray, F: np.ndarray) -> None:
        pyrender = import_pyrender()
        self.scene = pyrender.Scene(ambient_light=np.ones(3))
        surface = pyrender.Primitive(positions=V.astype(np.float32), indices=F.astype(np.uint32))
        self.scene.add(pyrender.Mesh([surface]))
        self.renderer = pyrender.OffscreenRenderer(512, 512)
        self.lens = pyrender.IntrinsicsCamera(1.0, 1.0, 0.0, 0.0, znear=0.1, zfar=50.0)
        self.node = self.scene.add(self.lens, pose=np.eye(4))

    def render(self, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """Colour and depth of one view."""
        self.lens.fx, self.lens.fy = camera.K[0, 0], camera.K[1, 1]
        self.lens.cx, self.lens.cy = camera.K[0, 2] + 0.5, camera.K[1, 2] + 0.5  # OpenGL counts pixel edges
        pose = np.eye(4)
        pose[:3, :3] = camera.R.T @ np.diag([1.0, -1.0, -1.0])  # OpenGL looks along -z, y up
        pose[:3, 3] = -camera.R.T @ camera.t
        self.scene.set_pose(self.node, pose)
        return self.renderer.render(self.scene)
