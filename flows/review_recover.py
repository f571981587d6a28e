"""`densecorr review recover`: a reviewer's damaged journal made anew of what can be read."""

from dataclasses import dataclass

from tyro.conf import Positional

from .session import Session, say


@dataclass(frozen=True)
class ReviewRecover:
    """Mend a reviewer's damaged journal: what can be read goes to a new one; the damaged file is kept."""

    reviewer: Positional[str]
    """Whose journal; their App has to be closed."""

    def __call__(self, session: Session) -> None:
        """Recover, copy what was recovered into the table of decisions, and say what came of it."""
        from storage.decisions import compact
        from storage.journal import journal_path
        from storage.journal_recover import recover_journal

        store = session.open_store()
        done = recover_journal(store, self.reviewer)
        if done is None:
            say(f"the journal of {self.reviewer} is not damaged: nothing was changed")
            return
        say(f"the damaged journal of {self.reviewer} is kept in {done.kept}")
        report = compact(store, [journal_path(store, self.reviewer)])
        say(
            f"{done.n_acts} of its acts could be read; {report.n_added} of them were not in the table and are now"
        )
        for problem in report.problems:
            say(problem)
