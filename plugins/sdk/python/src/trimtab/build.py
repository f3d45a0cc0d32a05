"""`python -m trimtab.build PLUGIN.py -o FILE`: a component out of a plugin, with
Python itself in it."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="trimtab-plugin", description="Makes a component of a plugin.")
    parser.add_argument("plugin", type=Path, help="the Python file that declares it")
    parser.add_argument("-o", "--output", type=Path, help="the file to write; beside the plugin where it is not given")
    parser.add_argument("-p", "--path", type=Path, action="append", default=[], help="a folder with more packages")
    options = parser.parse_args()
    # Beside this Python where its environment is not the shell's.
    compiler = shutil.which("componentize-py") or shutil.which("componentize-py", path=Path(sys.executable).parent)
    if compiler is None:
        parser.error("componentize-py is not installed; pip install componentize-py==0.25.1")
    if not options.plugin.is_file():
        parser.error(f"{options.plugin} is no file")
    if options.plugin.stem in sys.stdlib_module_names:
        # That one would be imported, and nobody would say so.
        parser.error(f"Python has a module {options.plugin.stem!r} of its own; give {options.plugin.name} another name")
    output = options.output or options.plugin.with_suffix(".wasm")
    return build(compiler, options.plugin.resolve(), output.resolve(), options.path)


def build(compiler: str, plugin: Path, output: Path, paths: list[Path]) -> int:
    """Returns the compiler's exit code. What it prints is its own."""
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_suffix(".part")
    with tempfile.TemporaryDirectory() as folder:
        # The compiler looks for a class by the name of what is exported.
        entry = Path(folder, "trimtab_entry.py")
        entry.write_text(f"import {plugin.stem}\nfrom trimtab._guest import Controller\n")
        folders = [folder, plugin.parent, HERE.parent, *paths]
        command = [compiler, "-d", HERE / "plugin.wit", "-w", "plugin", "componentize", entry.stem, "-o", part]
        for one in folders:
            command += ["-p", one]
        built = subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    if built.returncode != 0:
        return built.returncode
    # Renamed into place whole: a host may be watching that folder.
    os.replace(part, output)
    print(f"{output.name}: {output.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
