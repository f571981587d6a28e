"""`densecorr ablations`: SHIC's Tables 3 to 6 in small on rendered people, published as a page with intervals."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class Ablations:
    """Train the method without one part at a time, on rendered people with exact truth, and write what each is worth.

    An hour or so on 2 cores for three seeds; stop it at any time and start it again: what is done is kept.
    """

    out: Path = Path("runs/ablations")
    """Folder for the page (ablations.md), the figures (ablations.json) and the pipeline files."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of images, labels and training; intervals are over seeds and held-out images."""
    steps: int = 200
    """Of each training."""
    images: int = 500
    """Training images, but for the rows of Table 6."""
    counts: tuple[int, ...] = (50, 200, 500, 2000)
    """Training images of the rows of Table 6."""
    n_val: int = 100
    """Held-out images."""
    n_coarse: int = 1500
    """Vertices that are matched and trained."""
    n_eigenpairs: int = 256

    def __call__(self, session: "Session") -> None:
        """Run every seed's pipeline, then write the page."""
        from densecorr.datasets.world_settings import WorldSettings
        from densecorr.errors import SettingsError

        from .ablation_pipeline import AblationSize, ablation_rows, ablation_text
        from .ablation_report import read_seed, write_page
        from .run_command import run_file

        if not self.seeds:
            raise SettingsError("at least one seed", "none", "Name some: --seeds 0 1 2.")
        size = AblationSize(
            self.images,
            self.counts,
            self.n_val,
            self.n_coarse,
            self.n_eigenpairs,
            self.steps,
        )
        azimuths = [[float(low), float(high)] for low, high in WorldSettings().person.azimuths]
        self.out.mkdir(parents=True, exist_ok=True)
        found = []
        for seed in self.seeds:
            pipeline = self.out / f"seed-{seed}.toml"
            pipeline.write_text(ablation_text(size, seed, azimuths))
            results = run_file(pipeline, session)
            ids = {key: result.artifact_id for key, result in results.items()}
            found.append(read_seed(session.store, ids, ablation_rows(size), seed))
        page = write_page(self.out, ablation_rows(size), found, size)
        print(page)
