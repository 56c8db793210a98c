"""Write down what is said of each broken configuration; run it from the root of the tree.

Read the difference before it is committed: these files are what an operator is told.
"""

from pathlib import Path

from deploy.checking import faults_of
from deploy.profile import Settings

HERE = Path(__file__).parent / "broken_configs"

if __name__ == "__main__":
    for file in sorted(HERE.glob("*.toml")):
        place = file.relative_to(Path.cwd())
        said = [str(fault) for fault in faults_of(Settings(config=place), thorough=True)]
        file.with_suffix(".txt").write_text("\n".join([*said, ""]))
