"""`densecorr ablations`: SHIC's Tables 3 to 6 in small on rendered people, published as a page with intervals."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .ablation_pipeline import AblationSize

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
    size: AblationSize = field(default_factory=AblationSize)
    """How much is rendered and trained."""

    def __call__(self, session: "Session") -> None:
        """Run every seed's pipeline, then write the page."""
        from densecorr.datasets.world_settings import WorldSettings
        from densecorr.errors import SettingsError

        from .ablation_pipeline import ablation_rows, ablation_text
        from .ablation_report import read_seed, write_page
        from .run_command import run_file

        if not self.seeds:
            raise SettingsError("at least one seed", "none", "Name some: --seeds 0 1 2.")
        azimuths = [[float(low), float(high)] for low, high in WorldSettings().person.azimuths]
        self.out.mkdir(parents=True, exist_ok=True)
        found = []
        for seed in self.seeds:
            pipeline = self.out / f"seed-{seed}.toml"
            pipeline.write_text(ablation_text(self.size, seed, azimuths))
            results = run_file(pipeline, session)
            ids = {key: result.artifact_id for key, result in results.items()}
            found.append(read_seed(session.store, ids, ablation_rows(self.size), seed))
        page = write_page(self.out, ablation_rows(self.size), found, self.size)
        print(page)
