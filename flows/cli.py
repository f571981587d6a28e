"""`densecorr COMMAND`: find the command, read its settings, run it, end with one readable line.

Exit codes: 0 done, 1 our mistake (the traceback is in the log), 2 the user's, 130 stopped by Ctrl-C. The
table of commands is static, so that `densecorr --help` answers at once; the chosen command's code is imported
then.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from densecorr.errors import DensecorrError

from .registry import STAGES, TOOLS, find_entry
from .session import Session, log_to_file, store_uri

logger = logging.getLogger("densecorr")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options, rest = _common_options().parse_known_args(given)
    if options.version:
        print(f"densecorr {_version()}")
        return 0
    if not rest or rest[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0 if rest else 2
    name, *rest = rest
    _share_cores()
    _set_for_models(options.offline, options.accept_licence)
    session = Session(store_uri(options.store), options.track)
    with log_to_file("".join(c if c.isalnum() or c == "-" else "_" for c in name)) as log:
        logger.info("densecorr %s", " ".join(given))
        return _run(name, rest, session, log)


def _share_cores() -> None:
    """Numeric libraries take half the cores, and sleep when they wait: a pipeline runs two stages at once.

    The user's own setting stays. It must happen before torch, numpy or faiss start their threads.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) // 2)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", os.environ["OMP_NUM_THREADS"])


def _set_for_models(offline: bool, accept_licence: bool) -> None:
    """Pass what was said about models on to all code and processes below; what is not said stays as the user set it.

    It must happen before huggingface_hub is imported, which reads these variables then.
    """
    if offline:
        os.environ |= dict.fromkeys(("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"), "1")
    if accept_licence:
        os.environ["DENSECORR_ACCEPT_LICENCE"] = "1"


def _run(name: str, arguments: list[str], session: Session, log: Path) -> int:
    try:
        code = _dispatch(name, arguments, session)
        sys.stdout.flush()
        return code or 0
    except DensecorrError as error:
        logger.info("stopped: %s", error, exc_info=True)
        return _fail(f"error: {error}", log, 2)
    except KeyboardInterrupt:
        return _fail("stopped: finished work is kept; run the same command again to continue", None, 130)
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (
        Exception
    ) as error:  # the last line of defence: the traceback goes to the log, a sentence to the user
        logger.exception("unexpected %s", type(error).__name__)
        return _fail(
            f"unexpected {type(error).__name__}: {error} (a mistake of densecorr, not yours)", log, 1
        )


def _dispatch(name: str, arguments: list[str], session: Session) -> int | None:
    if name in {entry.name for entry in STAGES} or ":" in name:
        return _run_stage(name, arguments, session)
    import tyro

    target = find_entry(name, (*STAGES, *TOOLS)).load()
    tool: Any = tyro.cli(target, args=arguments, prog=f"densecorr {name}")
    code: Any = tool(session) if callable(tool) else tool
    return code


def _run_stage(name: str, arguments: list[str], session: Session) -> None:
    import tyro

    from .presets import take_option, take_preset
    from .registry import load_stage
    from .run_command import run_one

    stage = load_stage(name)
    tag, arguments = take_option("--tag", arguments)
    default, arguments = take_preset(stage.command, arguments)
    command = tyro.cli(stage.command, default=default, args=arguments, prog=f"densecorr {name}")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and os.environ.get("RANK", "0") != "0":
        return  # under torchrun, the first process runs the stage and starts the processes it needs
    artifact_id = run_one(stage, name, command, session).artifact_id
    if tag is not None:
        session.open_store().tag(tag, artifact_id)
    print(artifact_id)


def _fail(text: str, log: Path | None, code: int) -> int:
    sys.stdout.flush()
    print(text, file=sys.stderr)
    if log is not None:
        print(f"log: {log}", file=sys.stderr)
    return code


def _common_options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("densecorr", add_help=False, allow_abbrev=False)
    parser.add_argument("--store")
    parser.add_argument("--track", choices=("auto", "always", "never"), default="auto")
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--accept-licence", action="store_true")
    parser.add_argument("--version", action="store_true")
    return parser


def help_text() -> str:
    """What `densecorr --help` prints."""
    width = max(len(entry.name) for entry in (*STAGES, *TOOLS))
    stages = [f"  {entry.name:<{width}}  {entry.help}" for entry in STAGES]
    tools = [f"  {entry.name:<{width}}  {entry.help}" for entry in TOOLS]
    return "\n".join(
        [
            "usage: densecorr COMMAND [options]      (densecorr COMMAND --help lists a command's options)",
            "",
            "Dense correspondence between images of a deformable object and a template of it.",
            "",
            "stages, each of which makes one artifact and prints its id:",
            *stages,
            "",
            "tools:",
            *tools,
            "",
            "option of every stage:",
            "  --tag NAME                 a name for the artifact, which commands take in place of its id",
            "",
            "options of every command:",
            "  --store FOLDER|URI         where artifacts are kept (else DENSECORR_STORE, else ./runs/store)",
            "  --track auto|always|never  record in Prefect; auto: a single stage only if a server answers",
            "  --offline                  nothing is downloaded: only cached models and images are used",
            "  --accept-licence           use models that forbid commercial use; kept in the lineage",
            "  --version                  print the version",
        ]
    )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("densecorr")
    except PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
