import subprocess
import sys
import tempfile
import unittest
from pathlib import Path


class BuildTest(unittest.TestCase):
    def test_a_plugin_that_is_called_like_a_module_of_pythons_own_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            plugin = Path(folder, "profile.py")
            plugin.write_text("")
            built = subprocess.run([sys.executable, "-m", "trimtab.build", plugin], capture_output=True, text=True)
        self.assertEqual(built.returncode, 2)
        self.assertIn("Python has a module 'profile' of its own; give profile.py another name", built.stderr)


if __name__ == "__main__":
    unittest.main()
