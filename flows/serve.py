"""`densecorr serve`: run a pipeline file on a schedule until stopped, with a Prefect server that stays."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from tyro.conf import Positional

from densecorr.errors import DependencyError, SettingsError

from .pipeline import read_pipeline
from .server import client_environment, configured_server, reachable_server
from .session import Session, say


@dataclass(frozen=True)
class Serve:
    """Run a pipeline file on a schedule until stopped. Finished stages are kept: a run does what is new."""

    pipeline: Positional[Path]
    """The TOML file; it is read anew by every run."""
    cron: str | None = None
    """When to run it, as minute hour day month weekday: '0 2 * * *' is every night at two, UTC."""
    interval: float | None = None
    """Or how many seconds apart."""
    name: str | None = None
    """The deployment's name on the server; the file's name if left out."""

    def __call__(self, session: Session) -> None:
        """Register the schedule and wait for it; Ctrl-C ends it and pauses the schedule.

        Raises:
            SettingsError: not one schedule, or not a valid one; or the pipeline file is wrong.
            DependencyError: no server answers.
        """
        read_pipeline(self.pipeline)
        if (self.cron is None) == (self.interval is None):
            raise SettingsError(
                "one of --cron and --interval", "both or none", "Give one: --cron '0 2 * * *'."
            )
        if self.interval is not None and self.interval <= 0:
            raise SettingsError("an --interval of more than 0 seconds", str(self.interval), "Correct it.")
        url = reachable_server()
        if url is None:
            configured = configured_server()
            raise DependencyError(
                "a Prefect server that stays",
                f"no answer from {configured[0]}" if configured else "none",
                "Start one with `densecorr up`, or set PREFECT_API_URL.",
            )
        with client_environment(url):
            self._serve(session, url)

    def _serve(self, session: Session, url: str) -> None:
        from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
        from prefect.flows import EntrypointType
        from prefect.settings import PREFECT_API_URL, temporary_settings

        from .run import run_pipeline

        path = self.pipeline.absolute()
        one_at_a_time = ConcurrencyLimitConfig(
            limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW
        )
        when = self.cron or f"every {self.interval:g} s"
        say(f"{path.name} runs {when} (server {url}); Ctrl-C ends the schedule")
        with temporary_settings({PREFECT_API_URL: url}):
            try:
                run_pipeline.serve(
                    name=self.name or path.stem,
                    cron=self.cron,
                    interval=timedelta(seconds=self.interval) if self.interval is not None else None,
                    parameters={"pipeline": str(path), "store": session.store_uri},
                    global_limit=one_at_a_time,  # a run that still goes on at the next time is not run twice
                    entrypoint_type=EntrypointType.MODULE_PATH,  # runs do not depend on the working folder
                    print_starting_message=False,
                )
            except ValueError as error:  # pydantic's, for a cron line that is none
                raise SettingsError(
                    "a cron line of five fields", f"'{self.cron}' ({error})", "Correct it."
                ) from error
