"""The simulated PostgreSQL answers as the real one."""

import os
import subprocess
import unittest

ROOT = os.path.join(os.path.dirname(__file__), "..", "..")


class PostgreSQL(unittest.TestCase):
    def test_conformance(self):
        script = os.path.join(ROOT, "scripts", "postgresql-conformance")
        result = subprocess.run([script, "--time", "30s"], capture_output=True, text=True, timeout=900)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        schedules = int(result.stdout.splitlines()[-1].split()[0])
        self.assertGreater(schedules, 50, result.stdout)


if __name__ == "__main__":
    unittest.main()
