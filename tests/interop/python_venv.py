"""A virtual environment with pinned packages from PyPI, made once per build folder. Standard library only.

usage: python_venv.py FOLDER NAME==VERSION ...      installs what is missing and prints the environment's Python
"""
import json
import subprocess
import sys
import venv
from pathlib import Path


def ensure(folder, packages):
    folder = Path(folder)
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    listed = json.loads(subprocess.check_output([python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"]))
    installed = {f"{one['name'].lower().replace('_', '-')}=={one['version']}" for one in listed}
    missing = [one for one in packages if one.lower().replace("_", "-") not in installed]
    if missing:
        subprocess.check_call([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *missing], stdout=sys.stderr)
    return str(python)


if __name__ == "__main__":
    print(ensure(sys.argv[1], sys.argv[2:]))
