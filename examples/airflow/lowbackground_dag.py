"""A release made and gated by Airflow 3: copy it into the folder of DAGs.

Low Background stays in an environment of its own; `lowbackground` is the path of its command there.
"""

import os
import subprocess
from typing import Any

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

BROKE = 4  # the one exit code that another try may mend


class LowBackgroundOperator(BaseOperator):
    """Runs one command of `lowbackground`. Its answer is what the task returns; a no fails the task and is not tried again.

    Args:
      command: its words, such as ["gate", "releases/v2", "--format", "json"]; each may be a template.
      lowbackground: the path of the program.
      folder: where it is called; paths in a recipe are relative to the recipe.
    """

    template_fields = ("command", "folder")

    def __init__(self, *, command: list[str], lowbackground: str = "lowbackground", folder: str = ".", **kwargs: Any):
        super().__init__(**kwargs)
        self.command = command
        self.lowbackground = lowbackground
        self.folder = folder

    def execute(self, context: Any) -> str:
        """Call it, put what it says of its progress into the task's log, and give back what it answers."""
        done = subprocess.run(  # noqa: S603 (no shell; the words are the DAG's)
            [self.lowbackground, *self.command], cwd=self.folder, capture_output=True, text=True, check=False
        )
        self.log.info("%s", done.stderr)
        if done.returncode:
            words = f"lowbackground {self.command[0]}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
            raise AirflowException(words) if done.returncode == BROKE else AirflowFailException(words)
        return done.stdout


with DAG("release", schedule=None, params={"release": "v2"}) as dag:
    where = {
        "lowbackground": os.environ.get("LOWBACKGROUND", "lowbackground"),
        "folder": os.environ.get("LOWBACKGROUND_FOLDER", "."),
    }
    run = LowBackgroundOperator(
        task_id="run",
        command=["run", "recipe.yaml", "--set", "release={{ params.release }}", "--replace"],
        retries=2,
        **where,
    )
    gate = LowBackgroundOperator(
        task_id="gate", command=["gate", "releases/{{ params.release }}", "--suite", "suite.yaml"], **where
    )
    run >> gate
